package main

import (
	"bytes"
	"net/url"
	"os"

	"mcpo/internal/app"
	"mcpo/internal/config"
)

// options checks what no single flag can check alone and gives the application
// all that it needs, the log excepted. command is what followed "--".
func (s *settings) options(command []string, env lookup) (app.Options, error) {
	if err := s.checkTarget(command); err != nil {
		return app.Options{}, err
	}
	if err := s.checkTLS(); err != nil {
		return app.Options{}, err
	}
	if s.pprof && s.metricsAddr == "" {
		return app.Options{}, usagef("--pprof needs the address of the metrics; write: mcpo --metrics-addr 127.0.0.1:9090 --pprof")
	}
	connect, err := connectionTimeout(env)
	if err != nil {
		return app.Options{}, err
	}
	variables, err := s.serverEnv(env)
	if err != nil {
		return app.Options{}, err
	}
	return app.Options{
		Host:             s.host,
		Port:             s.port,
		ConfigPath:       s.configPath,
		Command:          command,
		ServerType:       string(s.serverType),
		Env:              variables,
		Headers:          s.headers,
		APIKey:           config.Secret(s.apiKey),
		StrictAuth:       s.strictAuth,
		CORSAllowOrigins: s.corsOrigins,
		Name:             s.name,
		Description:      s.description,
		Version:          s.version,
		CertFile:         s.certFile,
		KeyFile:          s.keyFile,
		RootPath:         s.rootPath,
		PathPrefix:       s.pathPrefix,
		HotReload:        s.hotReload,
		PublicURL:        s.publicURL,
		CallTimeout:      s.callTimeout,
		ConnectTimeout:   connect,
		ShutdownTimeout:  s.shutdownTimeout,
		DrainDelay:       s.drainDelay,
		MaxBody:          s.maxBody,
		MaxCallers:       s.maxCallers,
		AuditLog:         s.auditLog,
		MetricsAddr:      s.metricsAddr,
		Profiles:         s.pprof,
		Build:            buildVersion(),
	}, nil
}

// checkTarget refuses what cannot be proxied: a configuration and a command at
// once, a transport over HTTP without exactly one URL, a URL as a program.
func (s *settings) checkTarget(command []string) error {
	if s.configPath != "" {
		if len(command) > 0 {
			return usagef("--config and a command behind -- exclude each other; write one of them, and put the command into the file as a server of its own")
		}
		return nil
	}
	u, err := url.Parse(command[0])
	isURL := err == nil && isWeb(u)
	if s.serverType == config.Stdio {
		if isURL {
			return usagef("a URL is not a command; write: mcpo --type streamable-http -- %s", printable(command[0]))
		}
		if command[0] == "" {
			return usagef("the command behind -- is empty; write: mcpo -- COMMAND [ARGS...]")
		}
		return nil
	}
	if !isURL || len(command) > 1 {
		return usagef("--type %s needs exactly one URL; write: mcpo --type %[1]s -- http://HOST/PATH", s.serverType)
	}
	return nil
}

// checkTLS wants both halves. A certificate file that holds the private key too
// is both.
func (s *settings) checkTLS() error {
	if s.certFile == "" && s.keyFile != "" {
		return usagef("--ssl-keyfile without --ssl-certfile; write: mcpo --ssl-certfile FILE --ssl-keyfile FILE")
	}
	if s.certFile == "" || s.keyFile != "" {
		return nil
	}
	pem, err := os.ReadFile(s.certFile)
	if err != nil {
		return failf("reading --ssl-certfile: %w", err)
	}
	if !bytes.Contains(pem, []byte("PRIVATE KEY-----")) {
		return usagef("--ssl-certfile without --ssl-keyfile; write: mcpo --ssl-certfile FILE --ssl-keyfile FILE")
	}
	s.keyFile = s.certFile
	return nil
}

// serverEnv lays --env over the variables of --env-path. As dotenv files are
// defaults, the environment that mcpo was started in wins over the file.
func (s *settings) serverEnv(env lookup) (map[string]string, error) {
	variables := map[string]string{}
	if s.envPath != "" {
		text, err := os.ReadFile(s.envPath)
		if err != nil {
			return nil, failf("reading --env-path: %w", err)
		}
		fromFile, err := parseDotenv(string(text), env)
		if err != nil {
			return nil, failf("reading %s: %w", printable(s.envPath), err)
		}
		for name, v := range fromFile {
			if _, inherited := env(name); !inherited {
				variables[name] = v
			}
		}
	}
	for name, v := range s.env {
		variables[name] = v
	}
	return variables, nil
}
