package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// The SDK prints what it does not like about a variable, its value included, and
// goes on without it. A value may be a secret, and who has set a variable wants it
// to count, so all are checked before the SDK reads them.

const (
	protocolHTTP = "http/protobuf"
	protocolJSON = "http/json"
	protocolGRPC = "grpc"
)

// protocol is what spans are sent with.
func protocol() string {
	if told := value("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"); told != "" {
		return told
	}
	return protocolHTTP
}

// check finds the first variable that is wrong. The errors have the names of
// variables and files, and nothing of a value that may be secret.
func check() error {
	for _, c := range []struct {
		name string
		ask  func(string) error
	}{
		{"OTEL_EXPORTER_OTLP_%sENDPOINT", endpoint},
		{"OTEL_EXPORTER_OTLP_%sPROTOCOL", oneOf(protocolHTTP, protocolJSON, protocolGRPC)},
		{"OTEL_EXPORTER_OTLP_%sHEADERS", pairs},
		{"OTEL_EXPORTER_OTLP_%sTIMEOUT", atLeast(1)},
		{"OTEL_EXPORTER_OTLP_%sCOMPRESSION", oneOf("gzip", "none")},
		{"OTEL_EXPORTER_OTLP_%sCERTIFICATE", certificates},
		{"OTEL_RESOURCE_ATTRIBUTES", pairs},
		{"OTEL_TRACES_SAMPLER", oneOf("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")},
		{"OTEL_TRACES_SAMPLER_ARG", ratio},
		{"OTEL_BSP_SCHEDULE_DELAY", atLeast(1)},
		{"OTEL_BSP_EXPORT_TIMEOUT", atLeast(1)},
		{"OTEL_BSP_MAX_QUEUE_SIZE", atLeast(1)},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", atLeast(1)},
	} {
		names := []string{c.name}
		if strings.Contains(c.name, "%s") {
			names = []string{fmt.Sprintf(c.name, ""), fmt.Sprintf(c.name, "TRACES_")}
		}
		for _, name := range names {
			if v := value(name); v != "" {
				if err := c.ask(v); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	if err := clientCertificate(""); err != nil {
		return err
	}
	return clientCertificate("TRACES_")
}

func endpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("that is no http or https URL; write for example http://localhost:4318, or http://localhost:4317 with OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		return fmt.Errorf("%q is not known to mcpo; write %s", short(text), strings.Join(words, " or "))
	}
}

func atLeast(least int) func(string) error {
	return func(text string) error {
		if n, err := strconv.Atoi(text); err != nil || n < least {
			return fmt.Errorf("%q is no whole number from %d on", short(text), least)
		}
		return nil
	}
}

func ratio(text string) error {
	if f, err := strconv.ParseFloat(text, 64); err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("%q is no number from 0 to 1; write for example 0.1 for a tenth of all traces", short(text))
	}
	return nil
}

func pairs(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		name, v, found := strings.Cut(pair, "=")
		_, err := url.PathUnescape(v)
		if !found || err != nil || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) {
			return errors.New("write NAME=VALUE, with a comma between two of them, and in values %2C for a comma and %25 for a percent sign")
		}
	}
	return nil
}

func certificates(path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}

// clientCertificate checks what mcpo shows to the collector.
func clientCertificate(signal string) error {
	certName, keyName := "OTEL_EXPORTER_OTLP_"+signal+"CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_"+signal+"CLIENT_KEY"
	cert, key := value(certName), value(keyName)
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" || key == "" {
		return fmt.Errorf("%s and %s belong together; set both or none", certName, keyName)
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return fmt.Errorf("reading %s and %s: %w", certName, keyName, err)
	}
	return nil
}
