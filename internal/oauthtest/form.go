package oauthtest

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// form is a form as a person filled it.
type form struct {
	method, action string
	values         url.Values
	buttons        []button
}

type button struct{ name, value string }

// findForm finds the first form of a page that a person can send, and fills it.
func findForm(page string, o BrowseOptions) (form, bool) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return form{}, false
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		f := form{method: http.MethodGet, action: attribute(n, "action"), values: url.Values{}}
		if strings.EqualFold(attribute(n, "method"), "post") {
			f.method = http.MethodPost
		}
		for child := range n.Descendants() {
			if child.Type == html.ElementNode {
				f.fill(child, o)
			}
		}
		if f.press(o) {
			return f, true
		}
	}
	return form{}, false
}

// fill reads one element: a field, which gets its value, or a button.
func (f *form) fill(n *html.Node, o BrowseOptions) {
	name, value, kind := attribute(n, "name"), attribute(n, "value"), strings.ToLower(attribute(n, "type"))
	switch {
	case n.Data == "button" && (kind == "" || kind == "submit"), n.Data == "input" && kind == "submit":
		f.buttons = append(f.buttons, button{name, value})
	case n.Data != "input" || name == "":
	case name == "username" || name == "login" || name == "user":
		f.values.Set(name, o.user())
	case kind == "password":
		f.values.Set(name, o.user()+"-password")
	case kind != "checkbox" && kind != "radio" || has(n, "checked"):
		f.values.Set(name, value)
	}
}

// press chooses a button: the only one, or the one that says what is wanted.
func (f *form) press(o BrowseOptions) bool {
	want := "approve"
	if o.Deny {
		want = "deny"
	}
	for _, b := range f.buttons {
		if len(f.buttons) == 1 || b.value == want {
			if b.name != "" {
				f.values.Set(b.name, b.value)
			}
			return true
		}
	}
	return false
}

func (o BrowseOptions) user() string {
	if o.User == "" {
		return "alice"
	}
	return o.User
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
