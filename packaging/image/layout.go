package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The media types of the OCI image specification, 1.1.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// executable is mcpo for one processor, called as Go calls it.
type executable struct {
	arch string
	data []byte
}

// platform is where an image runs.
type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// descriptor refers to bytes by their digest.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// manifest is an image for one processor, index those for all.
type (
	manifest struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations"`
	}
	index struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []descriptor      `json:"manifests"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}
)

// configuration says how to run an image.
type configuration struct {
	Created time.Time `json:"created"`
	platform
	Config struct {
		User         string
		Env          []string
		Entrypoint   []string
		ExposedPorts map[string]struct{}
		Labels       map[string]string
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []history `json:"history"`
}

type history struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// layout is an image layout that is being written.
type layout struct{ folder string }

// writeImage writes the image for all executables to a folder that it empties
// first, and gives the digest of the whole.
func writeImage(folder string, from source, executables []executable, licences []byte) (string, error) {
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	l := layout{folder}
	if err := os.MkdirAll(filepath.Join(folder, "blobs", "sha256"), 0o755); err != nil {
		return "", err
	}
	all := index{SchemaVersion: 2, MediaType: mediaIndex, Annotations: labels(from)}
	for _, e := range executables {
		d, err := l.image(from, e, licences)
		if err != nil {
			return "", fmt.Errorf("image for %s: %w", e.arch, err)
		}
		all.Manifests = append(all.Manifests, d)
	}
	d, err := l.document(mediaIndex, all)
	if err != nil {
		return "", err
	}
	// A + stands in no tag.
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": strings.ReplaceAll(from.version, "+", "-")}
	top, err := json.Marshal(index{SchemaVersion: 2, MediaType: mediaIndex, Manifests: []descriptor{d}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "index.json"), top, 0o644); err != nil {
		return "", err
	}
	return d.Digest, os.WriteFile(filepath.Join(folder, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// image writes what is for one processor: layer, configuration, manifest.
func (l layout) image(from source, e executable, licences []byte) (descriptor, error) {
	packed, diffID, err := layer(files(e.data, licences), from.created)
	if err != nil {
		return descriptor{}, err
	}
	layerAt, err := l.blob(mediaLayer, packed)
	if err != nil {
		return descriptor{}, err
	}
	where := platform{Architecture: e.arch, OS: "linux"}
	c := configuration{Created: from.created, platform: where}
	c.Config.User = fmt.Sprintf("%d:%[1]d", user)
	c.Config.Env = []string{"HOME=/data"}
	c.Config.Entrypoint = []string{"/mcpo"}
	c.Config.ExposedPorts = map[string]struct{}{"8000/tcp": {}}
	c.Config.Labels = labels(from)
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", []string{diffID}
	c.History = []history{{Created: from.created, CreatedBy: "go run ./packaging/image"}}
	configAt, err := l.document(mediaConfig, c)
	if err != nil {
		return descriptor{}, err
	}
	d, err := l.document(mediaManifest, manifest{SchemaVersion: 2, MediaType: mediaManifest, Config: configAt, Layers: []descriptor{layerAt}, Annotations: labels(from)})
	d.Platform = &where
	return d, err
}

// labels tell what an image is.
func labels(from source) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "mcpo",
		"org.opencontainers.image.description": "Serves MCP servers as OpenAPI",
		"org.opencontainers.image.licenses":    "MIT",
		"org.opencontainers.image.version":     from.version,
		"org.opencontainers.image.revision":    from.revision,
		"org.opencontainers.image.created":     from.created.Format(time.RFC3339),
	}
}

// document writes v as JSON.
func (l layout) document(mediaType string, v any) (descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, data)
}

// blob writes bytes to where their digest is their name.
func (l layout) blob(mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Digest: digest(data), Size: len(data)}
	name := strings.TrimPrefix(d.Digest, "sha256:")
	return d, os.WriteFile(filepath.Join(l.folder, "blobs", "sha256", name), data, 0o644)
}
