package openapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestResultBody(t *testing.T) {
	text := func(s string) string { return `{"type":"text","text":` + s + `}` }
	content := func(items ...string) string { return `{"content":[` + strings.Join(items, ",") + `]}` }
	for _, c := range []struct{ name, result, want string }{
		{"text", content(text(`"hello"`)), `"hello"`},
		{"text with its own escapes", content(text(`"a\u00e9\/\n<&>"`)), `"a\u00e9\/\n<&>"`},
		{"empty text", content(text(`""`)), `""`},
		{"blank text", content(text(`"  "`)), `"  "`},
		{"several texts", content(text(`"a"`), text(`"b"`)), `["a","b"]`},
		{"nothing", content(), `[]`},
		{"JSON text keeps its bytes", content(text(`"{\"n\": 9007199254740993, \"f\":1.0, \"e\":1E2}"`)), `{"n": 9007199254740993, "f":1.0, "e":1E2}`},
		{"JSON text with blanks around", content(text(`" [1, 2]\n"`)), `[1, 2]`},
		{"JSON text over lines", content(text(`"{\n  \"a\": \"b\\n\"\n}"`)), "{\n  \"a\": \"b\\n\"\n}"},
		{"number", content(text(`"123"`)), `123`},
		{"negative number", content(text(`"-1.50"`)), `-1.50`},
		{"boolean", content(text(`"true"`)), `true`},
		{"null", content(text(`"null"`)), `null`},
		{"quoted", content(text(`"\"quoted\""`)), `"quoted"`},
		{"escaped throughout", content(text(`"\u007b\u0022a\u0022:1}"`)), `{"a":1}`},
		{"indented by a tab", content(text(`"\t{\"a\":1}"`)), `{"a":1}`},
		{"indented by a newline", content(text(`"\n1"`)), `1`},
		{"names twice in a text", content(text(`"{\"a\":1,\"a\":2}"`)), `{"a":1,"a":2}`},
		{"NaN", content(text(`"NaN"`)), `"NaN"`},
		{"NaN within", content(text(`"{\"a\":NaN}"`)), `"{\"a\":NaN}"`},
		{"Infinity", content(text(`"-Infinity"`)), `"-Infinity"`},
		{"nearly JSON", content(text(`"{'a':1}"`)), `"{'a':1}"`},
		{"JSON and more", content(text(`"{} and more"`)), `"{} and more"`},
		{"leading zero", content(text(`"007"`)), `"007"`},
		{"date", content(text(`"2024-01-01"`)), `"2024-01-01"`},
		{"text is no string", content(`{"type":"text","text":5}`), `{"type":"text","text":5}`},
		{"image", content(`{"type":"image","mimeType":"image/png","data":"aGk="}`), `"data:image/png;base64,aGk="`},
		{"image without its type", content(`{"type":"image","data":"aGk="}`), `"data:application/octet-stream;base64,aGk="`},
		{"image without data", content(`{"type":"image","mimeType":"image/png"}`), `{"type":"image","mimeType":"image/png"}`},
		{"audio", content(`{"type":"audio","mimeType":"audio/wav","data":"aGk="}`), `"data:audio/wav;base64,aGk="`},
		{"text and image", content(text(`"see"`), `{"type":"image","mimeType":"image/png","data":"aGk="}`), `["see","data:image/png;base64,aGk="]`},
		{"link", content(`{"type":"resource_link","uri":"file:///a","name":"a","size":1.0}`), `{"type":"resource_link","uri":"file:///a","name":"a","size":1.0}`},
		{"embedded text", content(`{"type":"resource","resource":{"uri":"a:b","text":"[1]"}}`), `[1]`},
		{"embedded blob", content(`{"type":"resource","resource":{"uri":"a:b","mimeType":"application/pdf","blob":"aGk="}}`), `"data:application/pdf;base64,aGk="`},
		{"embedded nothing", content(`{"type":"resource","resource":{"uri":"a:b"}}`), `{"type":"resource","resource":{"uri":"a:b"}}`},
		{"unknown kind", content(`{"type":"video", "frames":[1.0]}`), `{"type":"video","frames":[1.0]}`},
		{"no object", content(`5`, `null`), `[5,null]`},
		{"a type that is an odd case", content(`{"Type":"text","text":"a"}`), `{"Type":"text","text":"a"}`},
		{"structured content only", `{"structuredContent":{"n":1.0}}`, `{"n":1.0}`},
		{"structured content, no items", `{"content":[],"structuredContent":{"n":1.0}}`, `{"n":1.0}`},
		{"structured content beside text", `{"content":[{"type":"text","text":"a"}],"structuredContent":{"n":1}}`, `"a"`},
		{"isError is false", `{"content":[{"type":"text","text":"a"}],"isError":false}`, `"a"`},
		{"isError is no boolean", `{"content":[{"type":"text","text":"a"}],"isError":"true"}`, `"a"`},
		{"an older result", ` {"toolResult": 1.0} `, `{"toolResult": 1.0}`},
		{"content is no array", `{"content":"a"}`, `{"content":"a"}`},
		{"an empty object", `{}`, `{}`},
		{"no object at all", ` [1, 2] `, `[1, 2]`},
		{"no JSON", `oops`, `"oops"`},
		{"nothing at all", ``, `""`},
		{"invalid UTF-8", "{\"content\":[{\"type\":\"text\",\"text\":\"a\xffb\"}]}", `"a` + "\uFFFD" + `b"`},
		{"lone surrogate", content(text(`"a\ud800b"`)), `"a` + "\uFFFD" + `b"`},
		{"pair of surrogates", content(text(`"\ud83d\ude00"`)), `"\ud83d\ude00"`},
		{"low before high", content(text(`"\ude00\ud83d"`)), `"` + "\uFFFD\uFFFD" + `"`},
		{"escaped backslash before u", content(text(`"\\ud800"`)), `"\\ud800"`},
		{"lone surrogate within JSON text", content(text(`"{\"a\":\"\\ud800\"}"`)), `{"a":"` + "\uFFFD" + `"}`},
		{"lone surrogate in a name", `{"structuredContent":{"a\udc00":1}}`, `{"a` + "\uFFFD" + `":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ResultBody([]byte(c.result))
			if err != nil || string(got) != c.want {
				t.Errorf("ResultBody(%s) = %s, %v; want %s", c.result, got, err, c.want)
			}
			if !json.Valid(got) {
				t.Errorf("%s is no JSON", got)
			}
		})
	}
}

func TestResultBodyOfAnErrorIsItsTexts(t *testing.T) {
	for _, c := range []struct{ result, want string }{
		{`{"isError":true,"content":[{"type":"text","text":"no such file"}]}`, "no such file"},
		{`{"isError":true,"content":[{"type":"text","text":"first"},{"type":"image","data":""},{"type":"text","text":"second"}]}`, "first\nsecond"},
		{`{"isError":true,"content":[{"type":"resource","resource":{"uri":"a:b","text":"embedded"}}]}`, "embedded"},
		{`{"isError":true,"content":[]}`, "The tool reported an error without a message."},
		{`{"isError":true}`, "The tool reported an error without a message."},
		{`{"isError":true,"content":"odd"}`, "The tool reported an error without a message."},
		{`{"isError":true,"structuredContent":{"code":7}}`, `{"code":7}`},
		{`{"isError":true,"content":[{"type":"text","text":"{\"error\":1}"}]}`, `{"error":1}`},
	} {
		body, err := ResultBody([]byte(c.result))
		var failed *ToolError
		if !errors.As(err, &failed) || failed.Message != c.want || body != nil {
			t.Errorf("ResultBody(%s) = %s, %v; want the error %q", c.result, body, err, c.want)
		}
	}
}

// Values that nest deeper than most readers go are passed on as texts.
func TestResultBodyOfDeepJSON(t *testing.T) {
	deep := strings.Repeat("[", 100000) + strings.Repeat("]", 100000)
	got, err := ResultBody([]byte(`{"content":[{"type":"text","text":"` + deep + `"}]}`))
	if err != nil || string(got) != `"`+deep+`"` {
		t.Errorf("%.60s, %v", got, err)
	}
}
