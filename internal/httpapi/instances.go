package httpapi

import (
	"net/http"
	"strings"

	"pombo"
	"pombo/internal/evolution"
)

func (s *server) create(c *call) (answer, error) {
	req, err := evolution.DecodeCreateInstance(c.body)
	if err != nil {
		return answer{}, err
	}
	v, err := s.Instances.Create(c.Context(), req.New)
	if err != nil {
		return answer{}, err
	}
	if s.JWT != nil {
		if v.JWT, err = s.JWT.issue(c.Context(), v.Instance, ""); err != nil {
			return answer{}, err
		}
	}
	body, err := req.Created(c.dialect, v)
	return answer{status: http.StatusCreated, body: body, warnings: req.Warnings}, err
}

// fetchInstances lists what the key may see, narrowed by the query. An instance
// that another key hides is one that does not exist.
func (s *server) fetchInstances(c *call) (answer, error) {
	q := c.URL.Query()
	name, id, number := q.Get("instanceName"), q.Get("instanceId"), q.Get("number")
	var views []pombo.InstanceView
	for _, v := range c.visible {
		if (name == "" || v.Name == name) && (id == "" || string(v.ID) == id) && (number == "" || hasNumber(v, number)) {
			views = append(views, v)
		}
	}
	filtered := name != "" || id != "" || number != ""
	if filtered && len(views) == 0 {
		wanted := name
		if wanted == "" {
			wanted = id
		}
		if wanted == "" {
			wanted = number
		}
		return answer{}, pombo.Errorf(pombo.NotFound, "Instance \"%s\" not found", wanted)
	}
	if c.dialect == evolution.V1 {
		return ok(evolution.RowsV1(views, filtered, evolution.Exposure{Keys: s.ExposeKeys, ServerURL: s.ServerURL}))
	}
	return ok(evolution.Rows(views))
}

// hasNumber tells whether an instance is, or is to be, paired with a number.
func hasNumber(v pombo.InstanceView, number string) bool {
	digits, err := evolution.PairingNumber(number)
	if err != nil {
		return false
	}
	own, _, _ := strings.Cut(evolution.BareJID(v.JID), "@")
	return digits == own || digits == v.Number
}

func (s *server) connect(c *call) (answer, error) {
	number := c.URL.Query().Get("number")
	if number != "" {
		var err error
		if number, err = evolution.PairingNumber(number); err != nil {
			return answer{}, err
		}
	}
	v, err := s.Connections.Connect(c.Context(), c.view.Name, number)
	if err != nil {
		return answer{}, err
	}
	return connected(v)
}

func connected(v pombo.InstanceView) (answer, error) {
	body, err := evolution.Connected(v)
	return answer{status: http.StatusOK, body: body}, err
}

func (s *server) connectionState(c *call) (answer, error) {
	return ok(evolution.ConnectionState(c.view))
}

// restartV1 is PUT, which only 1.x has; its answer is the state.
func (s *server) restartV1(c *call) (answer, error) {
	v, err := s.Connections.Restart(c.Context(), c.view.Name)
	if err != nil {
		return answer{}, err
	}
	return ok(evolution.ConnectionState(v))
}

// restartV2 is POST, which only 2.x has; its answer is that of connect.
func (s *server) restartV2(c *call) (answer, error) {
	v, err := s.Connections.Restart(c.Context(), c.view.Name)
	if err != nil {
		return answer{}, err
	}
	return connected(v)
}

func (s *server) logout(c *call) (answer, error) {
	if err := s.Connections.Logout(c.Context(), c.view.Name); err != nil {
		return answer{}, err
	}
	return ok(evolution.Success("Instance logged out"))
}

func (s *server) remove(c *call) (answer, error) {
	if err := s.Connections.Delete(c.Context(), c.view.Name); err != nil {
		return answer{}, err
	}
	return ok(evolution.Success("Instance deleted"))
}
