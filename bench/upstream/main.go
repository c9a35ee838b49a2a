// Command upstream is the MCP server of package fast. Its tools are echo and
// big; with -tools it lists what a file says instead.
//
//	upstream [-tools FILE]                  on its standard streams
//	upstream -listen ADDRESS [-tools FILE]  over streamable HTTP
package main

import (
	"flag"
	"log"
	"net/http"
	"os"

	"mcpo/bench/upstream/fast"
)

func main() {
	listen := flag.String("listen", "", "serve streamable HTTP on this `address`")
	file := flag.String("tools", "", "list the tools of this `file`, the result of a tools/list")
	flag.Parse()
	var list []byte
	if *file != "" {
		var err error
		if list, err = os.ReadFile(*file); err != nil {
			log.Fatal(err)
		}
	}
	s, err := fast.New(list)
	if err != nil {
		log.Fatal(err)
	}
	if *listen != "" {
		log.Fatal(http.ListenAndServe(*listen, s))
	}
	if err := s.ServeLines(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
