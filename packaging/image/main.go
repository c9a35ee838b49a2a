// Package main builds mcpo's container image, without a container engine: it
// compiles mcpo for each processor, and writes an OCI image layout (image
// specification 1.1) that skopeo, crane or a container engine carries on.
//
//	go run ./packaging/image -out dist/image
//
//	commit ─► go build (each processor) ─┐
//	root certificates, licences, users ──┴─► layer ─► config ─► manifest ─┐
//	                                                              index ◄─┘
//
// The image is from scratch: no shell, no package manager, and nothing that is
// not in layer.go. One commit gives one image, byte for byte: all times in it
// are SOURCE_DATE_EPOCH, or without that the time of the commit.
package main

import (
	"bytes"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "dist/image", "the folder to write the image layout to; what is in it goes")
	name := flag.String("mcpo", "./cmd/mcpo", "the package to compile")
	flag.Parse()
	if err := run(*out, *name); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run builds the image of the package called name into the folder out.
func run(out, name string) error {
	licences, err := output(nil, "sh", "packaging/licences.sh")
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "mcpo-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var built source
	var executables []executable
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(folder, arch)
		env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch}
		if _, err := output(env, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags", "-s -w", "-o", path, name); err != nil {
			return err
		}
		if built, err = sourceOf(path); err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		executables = append(executables, executable{arch: arch, data: data})
	}
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	digest, err := writeImage(out, built, executables, append(append(licence, '\n'), licences...))
	if err != nil {
		return fmt.Errorf("writing %s: %w", out, err)
	}
	fmt.Printf("%s holds mcpo %s, %s\n", out, built.version, digest)
	return nil
}

// output runs a command and gives what it printed; what it complained of is in
// the error.
func output(env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running %s: %w: %s", name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return data, nil
}

// source is what an image was built from.
type source struct {
	version  string // of mcpo, without the v of the tag
	revision string // the commit
	created  time.Time
}

// sourceOf reads what the go command wrote into an executable.
func sourceOf(path string) (s source, err error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("reading what %s was built from: %w", path, err)
	}
	s.version = strings.TrimPrefix(info.Main.Version, "v")
	when := ""
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			s.revision = setting.Value
		case "vcs.time":
			when = setting.Value
		}
	}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return s, fmt.Errorf("SOURCE_DATE_EPOCH is no number of seconds since 1970: %q", epoch)
		}
		s.created = time.Unix(seconds, 0).UTC()
		return s, nil
	}
	if s.created, err = time.Parse(time.RFC3339, when); err != nil {
		return s, fmt.Errorf("this is no checkout of a repository, so there is no time of a commit; set SOURCE_DATE_EPOCH to the seconds since 1970 that the image is to bear")
	}
	return s, nil
}
