package sandbox

type database struct{}

func (s *database) close() error { return nil }
func (s *database) wake()        {}

func (s *Server) open(string) error { return nil }
func (s *Server) write()            {}

func (u *user) encode() []byte    { return nil }
func (d *device) encode() []byte  { return nil }
func (st *stanza) encode() []byte { return st.data }
