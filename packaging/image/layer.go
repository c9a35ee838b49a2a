package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is whom mcpo runs as: a number, so that an orchestrator can see that it
// is not root.
const user = 65532

// file is one entry of a layer; a folder when its name ends with a slash.
type file struct {
	name  string
	mode  int64
	owner int
	data  []byte
}

// files are the whole image, folders before what they hold.
func files(mcpo, licences []byte) []file {
	return []file{
		{name: "data/", mode: 0o700, owner: user}, // HOME, where a volume for logins goes
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "mcpo:x:%d:\n", user)},
		{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "mcpo:x:%d:%[1]d:mcpo:/data:/nonexistent\n", user)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: roots()},
		{name: "licenses/", mode: 0o755},
		{name: "licenses/LICENSES", mode: 0o644, data: licences},
		{name: "mcpo", mode: 0o755, data: mcpo},
	}
}

// roots are the root certificates of the web, as a PEM file. A root that is
// believed under a condition only is left out: the file could not hold it.
func roots() []byte {
	var data []byte
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})...)
		}
	}
	return data
}

// layer packs files. The second result is the digest of what is inside the
// compression, which a configuration calls diff id.
func layer(files []file, created time.Time) (packed []byte, diffID string, err error) {
	var plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(f.data)), ModTime: created, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, "", fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := archive.Write(f.data); err != nil {
			return nil, "", fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, "", fmt.Errorf("packing a layer: %w", err)
	}
	diffID = digest(plain.Bytes())
	var compressed bytes.Buffer
	zip := gzip.NewWriter(&compressed)
	if _, err := zip.Write(plain.Bytes()); err != nil {
		return nil, "", fmt.Errorf("compressing a layer: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, "", fmt.Errorf("compressing a layer: %w", err)
	}
	return compressed.Bytes(), diffID, nil
}

// digest names bytes as OCI does.
func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }
