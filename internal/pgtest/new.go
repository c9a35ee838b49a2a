package pgtest

// New starts a server for a program that is no test, which closes it. The error
// is one for which [Missing] is true where PostgreSQL is not installed.
func New(o Options) (*Server, error) { return start(o) }

// Close stops the server for good and removes what it kept.
func (s *Server) Close() { s.end() }

// Missing reports whether err says that PostgreSQL is not installed.
func Missing(err error) bool {
	missing := (*missingError)(nil)
	return asMissing(err, &missing)
}
