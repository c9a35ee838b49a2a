package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitMessage(t *testing.T) {
	tests := []struct {
		name, raw string
		want      message
	}{
		{"a response with its own bytes",
			` {"jsonrpc":"2.0","id":7,"result":{"b": 9007199254740993, "a":[1e5,"\u00e9"]}} `,
			message{id: raw(`7`), result: raw(`{"b": 9007199254740993, "a":[1e5,"\u00e9"]}`)}},
		{"an error", `{"id":"x","error":{"code":-1}}`, message{id: raw(`"x"`), err: raw(`{"code":-1}`)}},
		{"a notification", `{"method":"m","params":{}}`, message{method: raw(`"m"`), params: raw(`{}`)}},
		{"names of other case", `{"ID":1,"Result":{},"re\u017fult":2,"RESULT":3}`, message{}},
		{"an escaped name", `{"\u0069d":1,"result":null}`, message{id: raw(`1`), result: raw(`null`)}},
		{"the last of two", `{"id":1,"id":2,"result":1,"result":2}`, message{id: raw(`2`), result: raw(`2`)}},
		{"members of nested objects", `{"id":1,"result":{"error":{},"id":5}}`, message{id: raw(`1`), result: raw(`{"error":{},"id":5}`)}},
		{"an empty object", `{}`, message{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := splitMessage([]byte(test.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(message{})); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitMessageRefuses(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for _, text := range []string{
		``, `null`, `1`, `"x"`, `[]`, `{`, `{"id"}`, `{"id":}`, `{"id":1,}`, `{"id":1}}`, `{"id":01}`, `{id:1}`,
		`{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":tru}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, `{"a":[1,]}`,
		`{"a":"unfinished`, `{"a":"unfinished long enough for words`, `{"result":` + deep,
	} {
		if m, err := splitMessage([]byte(text)); err == nil {
			t.Errorf("splitMessage(%.40q) = %v, want an error", text, m)
		}
	}
}

func TestReplyOfMessage(t *testing.T) {
	tests := []struct {
		raw  string
		want Reply
	}{
		{`{"id":1,"result":{"x":1}}`, Reply{Result: raw(`{"x":1}`)}},
		{`{"id":1,"result":{},"error":null}`, Reply{Result: raw(`{}`)}},
		{`{"id":1,"error":{"code":-32602,"message":"no \"x\"","data":{"n":1.0}}}`,
			Reply{Error: &RPCError{Code: -32602, Message: `no "x"`, Data: raw(`{"n":1.0}`)}}},
		{`{"id":1,"error":{"Code":5,"code":6,"CODE":7}}`, Reply{Error: &RPCError{Code: 6}}},
		{`{"id":1,"error":"boom"}`, Reply{Error: &RPCError{Code: codeInternal, Message: `"boom"`}}},
		{`{"id":1,"error":null}`, Reply{Error: &RPCError{Code: codeInternal, Message: `null`}}},
		{`{"id":1}`, Reply{Error: &RPCError{Code: codeInternal, Message: "the server's response has neither result nor error"}}},
	}
	for _, test := range tests {
		m, err := splitMessage([]byte(test.raw))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, m.reply()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.raw, diff)
		}
	}
}

func TestSplitMessages(t *testing.T) {
	var ids []string
	for _, text := range []string{`{"id":1}`, ` [ {"id":2} , {"id":3}] `, `[]`} {
		messages, err := splitMessages([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for _, m := range messages {
			ids = append(ids, string(m.id))
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	for _, text := range []string{`[`, `[1]`, `[{"id":1},]`, `[{}]x`, `[{"id":1},[{"id":2}]]`,
		"[" + strings.Repeat("{},", maxBatch) + "{}]"} {
		if m, err := splitMessages([]byte(text)); err == nil {
			t.Errorf("splitMessages(%s) = %v, want an error", text, m)
		}
	}
}

// FuzzSplitMessage holds the splitter against encoding/json: both accept the
// same objects, and the members are the same bytes.
func FuzzSplitMessage(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a\nb \u20ac"}]}}`))
	f.Add([]byte(`{"id":1,"error":{"code":-32601,"message":"m"},"x":[true,false,null,-0.5e+3]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := splitMessage(data)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(data, &want)
		if want == nil || wantErr != nil {
			if err == nil {
				t.Fatalf("accepted %q, encoding/json says %v", data, wantErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("refused %q: %v", data, err)
		}
		for name, got := range map[string]json.RawMessage{
			"id": m.id, "method": m.method, "params": m.params, "result": m.result, "error": m.err,
		} {
			if string(got) != string(want[name]) {
				t.Errorf("%s: %s is %q, want %q", data, name, got, want[name])
			}
		}
	})
}

func BenchmarkSplitMessage(b *testing.B) {
	small := []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 230) + `"}]}}`)
	large := []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat(`a line of text\n`, 1<<16) + `"}]}}`)
	for name, data := range map[string][]byte{"small": small, "large": large} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := splitMessage(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }
