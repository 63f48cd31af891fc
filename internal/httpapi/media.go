package httpapi

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"pombo/internal/evolution"
)

// mediaPath is where the files of links are. It is no route like the others: it
// answers with a file.
const mediaPath = "/media/{id}"

// media serves the file of a link. The link is all that is asked for: its ID cannot
// be guessed. What is in the file, and what it claims to be, strangers chose; so
// browsers are told to show nothing but pictures, sound and films, to believe the
// type, and to run nothing.
func (s *server) media(w http.ResponseWriter, r *http.Request) {
	unhurried(w)
	f, err := s.Media.OpenMedia(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer f.Close()
	kind, shown := contentType(f.Mimetype)
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", disposition(f.FileName, shown))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, max-age=3600, immutable")
	h.Set("ETag", `"`+f.ID+`"`)
	http.ServeContent(w, r, "", f.At, f)
}

// contentType returns the type that a file is served as, and whether a browser may
// show it.
func contentType(claimed string) (kind string, shown bool) {
	kind, params, err := mime.ParseMediaType(claimed)
	if err != nil {
		return "application/octet-stream", false
	}
	group, name, _ := strings.Cut(kind, "/")
	shown = (group == "image" || group == "audio" || group == "video") && !strings.Contains(name, "xml") // not SVG
	full := mime.FormatMediaType(kind, params)
	if full == "" {
		full = kind
	}
	return full, shown
}

func disposition(fileName string, shown bool) string {
	how := "attachment"
	if shown {
		how = "inline"
	}
	if i := strings.LastIndexAny(fileName, `/\`); i >= 0 {
		fileName = fileName[i+1:]
	}
	if fileName == "" {
		return how
	}
	if d := mime.FormatMediaType(how, map[string]string{"filename": fileName}); d != "" {
		return d
	}
	return how
}

func (s *server) messageMedia(c *call) (answer, error) {
	req, err := evolution.DecodeGetMedia(c.body)
	if err != nil {
		return answer{}, err
	}
	f, err := s.Media.MessageMedia(c.Context(), c.view.Name, req.MediaRequest)
	if err != nil {
		return answer{}, err
	}
	head, tail := evolution.MediaAnswer(c.dialect, f.Media)
	return answer{status: http.StatusCreated, body: append(head, tail...), tail: len(tail), file: f, warnings: req.Warnings}, nil
}

// writeFile sends an answer with a file in it, which is never in memory as a whole.
func (s *server) writeFile(w http.ResponseWriter, a answer) {
	defer a.file.Close()
	at := len(a.body) - a.tail
	s.writeHead(w, a, int64(len(a.body))+evolution.Base64Size(a.file.Length))
	_, err := io.Copy(w, io.MultiReader(bytes.NewReader(a.body[:at]), evolution.Base64(a.file), bytes.NewReader(a.body[at:])))
	if err != nil {
		s.log.Debug("an answer was not sent whole", "err", err)
	}
}

// What /openapi.json says.
var describeMedia = operation{
	id: "media", tag: "chat", summary: "Give the file of a link",
	text: "What data.message.mediaUrl leads to. It needs no key, since it cannot be guessed, and ends after POMBO_MEDIA_KEEP_HOURS. " +
		"A file that is not here is fetched from WhatsApp first. Ranges are answered with 206; the header If-None-Match is honoured.",
	named:  "32 hexadecimal digits, the last part of mediaUrl.",
	status: http.StatusOK, answer: "The file, with the type that its message claims.", contentType: "*/*",
	errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
}

var describeMessageMedia = operation{
	id: "getBase64FromMediaMessage", tag: "chat", summary: "Give the file of a message",
	text: "Of a message that came lately, by its ID; of any other, if the whole message is given, as a webhook got it. " +
		"The file is fetched from WhatsApp if it is not here yet, for which the instance must be connected.",
	body: object([]string{"message"}, map[string]*huma.Schema{
		"message": object(nil, map[string]*huma.Schema{
			"key":     object([]string{"id"}, map[string]*huma.Schema{"id": typed("string", "The ID of the message.")}),
			"message": {Type: "object", Description: "The content of the message, as in a webhook's data.message."},
		}),
		"convertToMp4": boolean("Accepted; has no effect."),
	}),
	example: `{"message":{"key":{"id":"3A001122334455667788"}}}`,
	status:  http.StatusCreated, answer: "{mediaType, fileName, caption?, size: {fileLength, height?, width?}, mimetype, base64}, and buffer, which is null, in 2.x.",
	errors: []int{http.StatusServiceUnavailable},
}
