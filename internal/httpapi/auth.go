package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"pombo"
)

// keySum is what is compared in place of a key: sums are of one length, so that
// the time of a comparison tells nothing about a key, not even its length.
type keySum [sha256.Size]byte

func sum(key string) keySum { return sha256.Sum256([]byte(key)) }

func (k keySum) equal(other keySum) bool { return subtle.ConstantTimeCompare(k[:], other[:]) == 1 }

var errUnauthorized = pombo.Errorf(pombo.Unauthorized, "Unauthorized")

// authorize checks the header apikey, and looks up what the key opens. Without
// a right key the answer is the same whether or not the instance exists.
func (s *server) authorize(a access, c *call) error {
	if a == open {
		return nil
	}
	key := c.Header.Get("apikey")
	if key == "" {
		return errUnauthorized
	}
	given := sum(key)
	isGlobal := s.GlobalKey != "" && given.equal(s.key)
	switch a {
	case instance:
		view, err := s.Instances.Get(c.PathValue("instance"))
		own := err == nil && opens(given, view)
		if !isGlobal && !own {
			return errUnauthorized
		}
		c.view, c.master = view, isGlobal
		return err
	case listing:
		for _, v := range s.Instances.List() {
			if isGlobal || opens(given, v) {
				c.visible = append(c.visible, v)
			}
		}
		if !isGlobal && len(c.visible) == 0 {
			return errUnauthorized
		}
		return nil
	default:
		if !isGlobal {
			return errUnauthorized
		}
		return nil
	}
}

// opens tells whether the key is that of the instance.
func opens(given keySum, v pombo.InstanceView) bool {
	return v.Token != "" && given.equal(sum(v.Token))
}

// guarded lets only the bearer of the global key through to h.
func (s *server) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.authorize(global, &call{Request: r}); err != nil {
			s.fail(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}
