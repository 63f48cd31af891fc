package sandbox

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/util/cbcutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
)

// mediaMAC is how many bytes of a file's MAC stand at its end.
const mediaMAC = 10

// mediaKeys are what a file is encrypted with, all made from the 32 bytes in its message.
type mediaKeys struct{ iv, cipher, mac []byte }

func expandMediaKey(key []byte, kind whatsmeow.MediaType) mediaKeys {
	expanded := hkdfutil.SHA256(key, nil, []byte(kind), 112)
	return mediaKeys{iv: expanded[:16], cipher: expanded[16:48], mac: expanded[48:80]}
}

// sealedMedia is an encrypted file as a message refers to it.
type sealedMedia struct {
	file    *mediaFile
	key     []byte
	hash    []byte // SHA-256 of the content
	encHash []byte // SHA-256 of the encrypted file
	length  uint64 // of the content, in bytes
}

// seal encrypts what plain gives into a media file. It holds some KiB of it at a time. The file has no path yet:
// addMedia gives it one.
func (s *Server) seal(plain io.Reader, kind whatsmeow.MediaType, owner string) (sealedMedia, error) {
	f, err := s.newMediaFile()
	if err != nil {
		return sealedMedia{}, err
	}
	m := sealedMedia{key: make([]byte, 32)}
	_, _ = rand.Read(m.key)
	keys := expandMediaKey(m.key, kind)
	var size uint64
	m.hash, m.encHash, m.length, size, err = cbcutil.EncryptStream(keys.cipher, keys.iv, keys.mac, plain, f)
	if err != nil {
		discard(f)
		return sealedMedia{}, fmt.Errorf("encrypting media: %w", err)
	}
	m.file = &mediaFile{Hash: hex.EncodeToString(m.encHash), Kind: mmsTypes[kind], Owner: owner, Size: int64(size)}
	return m, keepFile(f, m.file.Hash)
}

// sealBytes is seal for what is in memory.
func (s *Server) sealBytes(plain []byte, kind whatsmeow.MediaType, owner string) (sealedMedia, error) {
	return s.seal(bytes.NewReader(plain), kind, owner)
}

var (
	errMediaMAC     = errors.New("its MAC is wrong: it was encrypted with another key, or as another kind of media")
	errMediaPadding = errors.New("its padding is wrong")
	errMediaSize    = errors.New("its size is not one of an encrypted file")
)

// checkSealed reads an encrypted file to its end and checks its MAC. It returns the hashes of the file and of its
// content, and the content's length.
func checkSealed(f io.ReadSeeker, size int64, keys mediaKeys) (encHash, hash []byte, length uint64, err error) {
	if size < aes.BlockSize+mediaMAC || (size-mediaMAC)%aes.BlockSize != 0 {
		return nil, nil, 0, errMediaSize
	}
	whole, mac := sha256.New(), hmac.New(sha256.New, keys.mac)
	mac.Write(keys.iv)
	if _, err = io.Copy(io.MultiWriter(whole, mac), io.LimitReader(f, size-mediaMAC)); err != nil {
		return nil, nil, 0, err
	}
	end, err := io.ReadAll(io.TeeReader(f, whole))
	if err != nil {
		return nil, nil, 0, err
	}
	if !hmac.Equal(mac.Sum(nil)[:mediaMAC], end) {
		return whole.Sum(nil), nil, 0, errMediaMAC
	}
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, 0, err
	}
	content := sha256.New()
	n, err := io.Copy(content, unsealed(f, size, keys))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return whole.Sum(nil), content.Sum(nil), uint64(n), err
}

// unsealed decrypts an encrypted file while it is read. checkSealed has checked it.
func unsealed(f io.Reader, size int64, keys mediaKeys) io.Reader {
	block, err := aes.NewCipher(keys.cipher)
	if err != nil { // the key has the right length
		return &cbcReader{err: err}
	}
	return &cbcReader{
		from: io.LimitReader(f, size-mediaMAC), left: size - mediaMAC, mode: cipher.NewCBCDecrypter(block, keys.iv),
		buffer: make([]byte, 32<<10),
	}
}

// cbcReader decrypts as it reads, and drops the padding.
type cbcReader struct {
	from   io.Reader
	left   int64 // encrypted bytes not yet read
	mode   cipher.BlockMode
	buffer []byte
	plain  []byte // decrypted and not yet given out
	err    error
}

func (r *cbcReader) Read(into []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.left == 0 {
			return 0, io.EOF
		}
		chunk := r.buffer[:min(int64(len(r.buffer)), r.left)]
		if _, r.err = io.ReadFull(r.from, chunk); r.err != nil {
			return 0, r.err
		}
		r.left -= int64(len(chunk))
		r.mode.CryptBlocks(chunk, chunk)
		if r.left == 0 {
			padding := int(chunk[len(chunk)-1])
			if padding == 0 || padding > aes.BlockSize {
				r.err = errMediaPadding
				return 0, r.err
			}
			chunk = chunk[:len(chunk)-padding]
		}
		r.plain = chunk
	}
	n := copy(into, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// plainFile is a decrypted file that is read, with what has to be closed.
type plainFile struct {
	io.Reader
	file *os.File
}

func (p *plainFile) Close() error { return p.file.Close() }
