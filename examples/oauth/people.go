package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// session is somebody who is signed in to Open WebUI.
type session struct{ name, token string }

// sessions signs people in, as Open WebUI does it: with HS256, and its
// WEBUI_SECRET_KEY as the key.
func sessions(key string, names ...string) (people []session, err error) {
	now := time.Now()
	for _, name := range names {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"id": name, "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix()}).
			SignedString([]byte(key))
		if err != nil {
			return nil, fmt.Errorf("signing the session of %s: %w", name, err)
		}
		people = append(people, session{name, token})
	}
	return people, nil
}

// walk says what several people try at their server.
func walk(base string, people []session) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
Two people of an Open WebUI are known by the tokens that it passes on with their
calls. These two were signed with the webui_secret_key above:

`)
	for _, p := range people {
		fmt.Fprintf(&b, "  curl -X POST %s/people/whoami -H 'Authorization: Bearer %s'   # %s\n", base, p.token, p.name)
	}
	fmt.Fprintf(&b, `
Each call is answered with a link of its own. Open one in your browser and the
other in a private window, sign in with two names, and call again: two answers.
`)
	return b.String()
}
