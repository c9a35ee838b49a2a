package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// build writes an image of programs that are none.
func build(t *testing.T) (folder, digest string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "image")
	from := source{version: "1.2.3+dirty", revision: "abc", created: time.Unix(1_700_000_000, 0).UTC()}
	digest, err := writeImage(folder, from, []executable{{"amd64", []byte("for amd64")}, {"arm64", []byte("for arm64")}}, []byte("licences"))
	if err != nil {
		t.Fatal(err)
	}
	return folder, digest
}

// follow reads what d refers to, which must be as long and as d says.
func follow(t *testing.T, folder string, d descriptor) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "blobs", "sha256", strings.TrimPrefix(d.Digest, "sha256:")))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != d.Size || digest(data) != d.Digest {
		t.Errorf("%s is %d bytes of digest %s, not %d of %s", d.MediaType, len(data), digest(data), d.Size, d.Digest)
	}
	return data
}

// decoded is data as a T.
func decoded[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

// TestImage walks the layout from its top to the files.
func TestImage(t *testing.T) {
	folder, whole := build(t)
	top, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	named := decoded[index](t, top).Manifests
	if len(named) != 1 || named[0].Digest != whole || named[0].Annotations["org.opencontainers.image.ref.name"] != "1.2.3-dirty" {
		t.Errorf("the top is %+v", named)
	}
	var archs []string
	for _, d := range decoded[index](t, follow(t, folder, named[0])).Manifests {
		archs = append(archs, d.Platform.OS+"/"+d.Platform.Architecture)
		m := decoded[manifest](t, follow(t, folder, d))
		c := decoded[configuration](t, follow(t, folder, m.Config))
		if c.Config.User != "65532:65532" || !cmp.Equal(c.Config.Entrypoint, []string{"/mcpo"}) || c.Architecture != d.Platform.Architecture {
			t.Errorf("configuration %+v", c)
		}
		if len(m.Layers) != 1 {
			t.Fatalf("%d layers", len(m.Layers))
		}
		checkLayer(t, follow(t, folder, m.Layers[0]), c.RootFS.DiffIDs[0], d.Platform.Architecture)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, archs); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func checkLayer(t *testing.T, packed []byte, diffID, arch string) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	if digest(plain) != diffID {
		t.Errorf("the layer unpacks to %s, and the configuration says %s", digest(plain), diffID)
	}
	contents := map[string][]byte{}
	for archive := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if writable := h.Mode & 0o222; h.Uid == user && h.Name != "data/" || writable&0o022 != 0 {
			t.Errorf("%s is of %d with mode %o: mcpo could change it", h.Name, h.Uid, h.Mode)
		}
		if contents[h.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(contents["mcpo"]); got != "for "+arch {
		t.Errorf("mcpo is %q", got)
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(contents["etc/ssl/certs/ca-certificates.crt"]) {
		t.Error("there are no root certificates")
	}
}

// TestImageIsTheSameAgain: whoever builds a commit can compare digests.
func TestImageIsTheSameAgain(t *testing.T) {
	_, one := build(t)
	_, two := build(t)
	if one != two {
		t.Errorf("two images of the same are %s and %s", one, two)
	}
}
