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
// a right key the answer is the same whether or not the instance exists. With JWTs,
// an instance's token stands in Authorization, and only the global key in apikey; as
// in 1.x that one wins.
func (s *server) authorize(a access, c *call) error {
	if a == open {
		return nil
	}
	key := c.Header.Get("apikey")
	if s.JWT != nil && key == "" && (a == instance || a == listing) {
		return s.authorizeBearer(a, c)
	}
	if key == "" {
		return errUnauthorized
	}
	given := sum(key)
	isGlobal := s.GlobalKey != "" && given.equal(s.key)
	switch a {
	case instance:
		view, err := s.Instances.Get(c.PathValue("instance"))
		own := err == nil && s.opens(given, view)
		if !isGlobal && !own {
			return errUnauthorized
		}
		c.view, c.master = view, isGlobal
		return err
	case listing:
		for _, v := range s.Instances.List() {
			if isGlobal || s.opens(given, v) {
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

// authorizeBearer is authorize for a request with a token.
func (s *server) authorizeBearer(a access, c *call) error {
	v, err := s.bearer(c.Request)
	switch {
	case err != nil:
		return err
	case a == listing:
		c.visible = []pombo.InstanceView{v}
	case v.Name != c.PathValue("instance"):
		return errUnauthorized
	}
	c.view = v
	return nil
}

// opens tells whether the key is that of the instance.
func (s *server) opens(given keySum, v pombo.InstanceView) bool {
	return s.JWT == nil && v.Token != "" && given.equal(sum(v.Token))
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
