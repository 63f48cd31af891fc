package httpapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// operation describes a route for /openapi.json.
type operation struct {
	id, tag, summary, text string
	named                  string   // what {id} in the path is; "": the id of a list's entry
	query                  []string // "name: what it says"
	body                   *huma.Schema
	example                string // of the body
	status                 int
	answer                 string // what is answered
	contentType            string // of the answer; "": JSON
	errors                 []int  // beside those that follow from the route
}

// Description returns the OpenAPI 3.1 description of the API, as /openapi.json
// serves it. It is made from the table of routes.
func Description(version string) (json.RawMessage, error) {
	api := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Pombo",
			Version: version,
			Description: "A WhatsApp gateway that speaks the Evolution API. Bodies are accepted in the forms of versions 1.x and 2.x; " +
				"unknown keys are ignored and named in the header X-Pombo-Warning. Any path may begin with /v1 or /v2, which chooses the form of answers.",
		},
		Components: &huma.Components{
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"apikey": {Type: "apiKey", In: "header", Name: "apikey", Description: "The global key, or an instance's own key on its routes."},
				"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An instance's token on its routes, with AUTHENTICATION_TYPE=jwt."},
			},
			Responses: map[string]*huma.Response{"Error": {
				Description: "What went wrong, and what to do about it.",
				Content:     map[string]*huma.MediaType{"application/json": {Schema: errorSchema}},
			}},
		},
	}
	for _, r := range append(routes(), route{"GET", mediaPath, open, false, nil, describeMedia}) {
		api.AddOperation(describe(r))
	}
	body, err := json.Marshal(api)
	if err != nil {
		return nil, fmt.Errorf("encoding the API's description: %w", err)
	}
	return body, nil
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func describe(r route) *huma.Operation {
	d := r.describe
	op := &huma.Operation{
		Method: r.method, Path: r.path, OperationID: d.id, Tags: []string{d.tag}, Summary: d.summary, Description: d.text,
		Responses: map[string]*huma.Response{strconv.Itoa(d.status): {
			Description: d.answer,
			Content:     map[string]*huma.MediaType{cmp.Or(d.contentType, "application/json"): {}},
		}},
		Security: []map[string][]string{},
	}
	for _, m := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		text := "The name of the instance."
		if m[1] == "id" {
			text = cmp.Or(d.named, "The id, as the list shows it.")
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Description: text, Schema: &huma.Schema{Type: "string"}})
	}
	for _, q := range d.query {
		name, text, _ := strings.Cut(q, ": ")
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Description: text, Schema: &huma.Schema{Type: "string"}})
	}
	failures := map[int]bool{http.StatusInternalServerError: true}
	for _, status := range d.errors {
		failures[status] = true
	}
	if r.access != open {
		op.Security = append(op.Security, map[string][]string{"apikey": {}})
		failures[http.StatusUnauthorized] = true
	}
	if r.access == instance || r.access == listing {
		op.Security = append(op.Security, map[string][]string{"bearer": {}})
	}
	if r.access == instance {
		failures[http.StatusNotFound] = true
	}
	if r.body {
		failures[http.StatusBadRequest], failures[http.StatusRequestEntityTooLarge] = true, true
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: d.body, Example: json.RawMessage(d.example)},
		}}
		op.Responses[strconv.Itoa(d.status)].Headers = map[string]*huma.Param{
			"X-Pombo-Warning": {Description: "Keys of the request that were ignored, and the known ones that are closest.", Schema: &huma.Schema{Type: "string"}},
		}
	}
	for _, status := range slices.Sorted(maps.Keys(failures)) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/Error"}
	}
	return op
}
