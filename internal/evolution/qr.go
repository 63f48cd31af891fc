package evolution

import (
	"encoding/base64"
	"fmt"

	"rsc.io/qr"
)

// qrScale is how many pixels wide each square of a QR image is.
const qrScale = 5

// QRImage returns code as the PNG image of a QR code, in the form of a data URL
// ("data:image/png;base64,…") that a browser shows as it is. It fails only for
// a code that is too long for any QR code (about 2,300 bytes).
func QRImage(code string) (string, error) {
	c, err := qr.Encode(code, qr.M)
	if err != nil {
		return "", fmt.Errorf("drawing a QR code of %d bytes: %w", len(code), err)
	}
	c.Scale = qrScale
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(c.PNG()), nil
}
