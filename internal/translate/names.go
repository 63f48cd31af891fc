package translate

import "strings"

// jsonName returns the name under which Baileys shows the field that whatsmeow's
// protobuf definition calls name. whatsmeow writes initialisms in capitals
// ("fileSHA256", "JPEGThumbnail"), Baileys writes them as words ("fileSha256",
// "jpegThumbnail"). The rule was checked against WAProto of Baileys: it holds
// for every field the two have in common.
func jsonName(name string) string {
	if name == "faviconMMSMetadata" {
		return name
	}
	name = initialisms.Replace(name)
	b := []byte(name)
	for i := 0; i < len(b); {
		if !isUpper(b[i]) {
			i++
			continue
		}
		start := i
		for i < len(b) && isUpper(b[i]) {
			i++
		}
		end := i
		if end < len(b) && b[end] >= 'a' && b[end] <= 'z' && end-start > 1 {
			end-- // the last capital begins the next word
		}
		if start > 0 {
			start++ // the first capital of a later run begins a word
		}
		for j := start; j < end; j++ {
			b[j] += 'a' - 'A'
		}
	}
	return string(b)
}

// initialisms are those that stand right before another word or a plural.
var initialisms = strings.NewReplacer("CDNURL", "CdnUrl", "URLs", "Urls", "IDs", "Ids")

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
