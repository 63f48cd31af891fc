package sandbox

import (
	"testing"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"google.golang.org/protobuf/proto"
)

// TestPatches: a patch for an old version is refused with what its sender missed, one that is not right is a violation.
func TestPatches(t *testing.T) {
	s, addr := listen(t, Options{})
	w := newWireClient(t, s, addr, "5511900000001")
	if err := w.pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.login(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.SetAppState(t.Context(), AppStateRequest{Number: w.number, Action: "pin", Chat: "5511900000002"}); err != nil {
			t.Fatal(err)
		}
	}
	push := func(version int, patch []byte) node {
		t.Helper()
		answer, err := w.ask("w:sync:app:state", "set", node{Tag: "sync", Content: []node{{Tag: "collection", Attrs: attrs{
			"name": "regular_low", "version": version, "return_snapshot": "false",
		}, Content: []node{{Tag: "patch", Content: patch}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetChildByTag("sync", "collection")
	}
	conflict := push(2, []byte("x"))
	failure := conflict.GetChildByTag("error")
	missed := conflict.GetChildByTag("patches")
	if str(&conflict, "type") != "error" || number(&failure, "code") != 409 || len(missed.GetChildren()) != 2 || number(&conflict, "version") != 4 {
		t.Errorf("an old version: %s", conflict.XMLString())
	}
	for name, spoil := range map[string]func(p *waServerSync.SyncdPatch){
		"value":    func(p *waServerSync.SyncdPatch) { p.Mutations[0].Record.Value.Blob[40] ^= 1 },
		"index":    func(p *waServerSync.SyncdPatch) { p.Mutations[0].Record.Index.Blob[0] ^= 1 },
		"snapshot": func(p *waServerSync.SyncdPatch) { p.SnapshotMAC[0] ^= 1 },
		"patch":    func(p *waServerSync.SyncdPatch) { p.PatchMAC[0] ^= 1 },
		"key":      func(p *waServerSync.SyncdPatch) { p.KeyID.ID[0] ^= 1 },
		"short":    func(p *waServerSync.SyncdPatch) { p.Mutations[0].Record.Value.Blob = []byte("short") },
		"empty":    func(p *waServerSync.SyncdPatch) { p.Mutations = nil },
		"remove": func(p *waServerSync.SyncdPatch) {
			p.Mutations[0].Operation = waServerSync.SyncdMutation_REMOVE.Enum()
		},
	} {
		before := len(s.world.violations)
		refused := push(4, signedPatch(t, s, w.number, spoil))
		failure := refused.GetChildByTag("error")
		if number(&failure, "code") != 400 || len(s.world.violations) != before+1 {
			t.Errorf("a wrong %s: %s", name, refused.XMLString())
		}
	}
	taken := push(4, signedPatch(t, s, w.number, func(*waServerSync.SyncdPatch) {}))
	if str(&taken, "type") != "" || number(&taken, "version") != 5 {
		t.Errorf("a right one: %s", taken.XMLString())
	}
	settings, err := s.AppState(t.Context(), w.number)
	if err != nil || len(settings) != 3 { // with the push name
		t.Errorf("settings %+v, %v", settings, err)
	}
}

// signedPatch is a patch that mutes nobody's chat, spoilt.
func signedPatch(t *testing.T, s *Server, number string, spoil func(*waServerSync.SyncdPatch)) []byte {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.world.users[number].sync
	col, k := a.collections["regular_low"], a.latest()
	info := appstate.BuildPin(s.world.users[number].pn(0), true)
	r, err := sealRecord(k, false, info.Mutations[0].Index, 5, info.Mutations[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := col.next([]mutation{{record: r}})
	if err != nil {
		t.Fatal(err)
	}
	patch := &waServerSync.SyncdPatch{
		SnapshotMAC: hash.snapshotMAC(col.name, col.version+1, k.expanded()), KeyID: &waServerSync.KeyId{ID: append([]byte{}, k.ID...)},
		Mutations: []*waServerSync.SyncdMutation{{Operation: waServerSync.SyncdMutation_SET.Enum(), Record: r.wire()}},
	}
	patch.PatchMAC = patchMAC(patch, col.name, col.version+1, k.expanded())
	spoil(patch)
	raw, err := proto.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestSenselessStanzas: what makes no sense gets an error, and the connection goes on.
func TestSenselessStanzas(t *testing.T) {
	s, addr := listen(t, Options{})
	w := newWireClient(t, s, addr, "5511900000001")
	if err := w.pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.login(); err != nil {
		t.Fatal(err)
	}
	collection := func(a attrs, children ...node) node {
		n := node{Tag: "collection", Attrs: a}
		if len(children) > 0 {
			n.Content = children
		}
		return node{Tag: "sync", Content: []node{n}}
	}
	for _, n := range []node{
		{Tag: "sync"}, collection(attrs{}), collection(attrs{"name": "regular", "version": "-1"}), collection(attrs{"name": "x"}),
		collection(attrs{"name": "regular", "version": "1"}, node{Tag: "patch"}),
		collection(attrs{"name": "regular", "version": "9"}, node{Tag: "patch", Content: []byte("x")}),
	} {
		if answer, err := w.ask("w:sync:app:state", "set", n); err != nil || str(answer, "type") != "result" {
			t.Errorf("%s: %v, %v", n.XMLString(), answer, err)
		}
	}
	for namespace, n := range map[string]node{
		"w:profile:picture": {Tag: "picture", Content: []byte("x")}, "status": {Tag: "status"}, "w:biz": {Tag: "business_profile"},
	} {
		for _, kind := range []string{"get", "set"} {
			if _, err := w.ask(namespace, kind, n); err != nil {
				t.Errorf("%s %s: %v", namespace, kind, err)
			}
		}
	}
	for _, receipt := range []node{
		{Tag: "receipt", Attrs: attrs{"id": "X", "type": "server-error"}},
		{Tag: "receipt", Attrs: attrs{"id": "X", "type": "server-error"}, Content: []node{{Tag: "rmr"}, {Tag: "encrypt"}}},
	} {
		if err := w.send(receipt); err != nil {
			t.Fatal(err)
		}
		if n, err := w.next("notification"); err != nil || str(n, "type") != "mediaretry" {
			t.Errorf("%v, %v", n, err)
		}
	}
}
