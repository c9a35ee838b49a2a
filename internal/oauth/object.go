package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
)

// object is a JSON object of a stranger's. Names are compared exactly, unlike
// encoding/json does for structs, and a member of an unexpected type counts as
// absent: servers write null, "" and the like for what they do not have.
type object map[string]json.RawMessage

// object reads the answer as one.
func (a answer) object() (object, error) {
	var o object
	if err := json.Unmarshal(bytes.TrimPrefix(a.body, []byte("\uFEFF")), &o); err != nil || o == nil {
		return nil, errors.New("the answer is no JSON object")
	}
	return o, nil
}

// text is a string; "" when absent.
func (o object) text(name string) string {
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return ""
	}
	return s
}

// texts is a list of strings; nil when absent.
func (o object) texts(name string) []string {
	var list []string
	if json.Unmarshal(o[name], &list) != nil {
		return nil
	}
	return list
}

// quote writes a string as JSON.
func quote(s string) json.RawMessage {
	quoted, _ := json.Marshal(s) // a string can always be written
	return quoted
}

func (o object) has(name string) bool {
	return len(o[name]) > 0 && string(o[name]) != "null"
}

// flag is true only for true.
func (o object) flag(name string) bool { return string(o[name]) == "true" }

// seconds is a number of seconds, which some servers write as a string. ok is
// false when it is absent or makes no sense.
func (o object) seconds(name string) (d time.Duration, ok bool) {
	text := string(o[name])
	if s := o.text(name); s != "" {
		text = s
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0, false
	}
	return time.Duration(min(n, 100*365*86400) * float64(time.Second)), true
}
