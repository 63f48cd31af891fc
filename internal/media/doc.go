// Package media owns the files that come with messages, once they are on disk: it
// has them fetched, off the path that WhatsApp waits on, keeps them as long as a
// delivery or a link needs them and there is room, and gives them out.
//
// A file is fetched when somebody wants it: a delivery that carries it, from the
// moment at which its event is appended, or whoever follows its link. Those who want
// the same file wait for the same job. A file is complete as soon as it is there: it
// is written under another name, and renamed. It has the name of its ID, and nothing
// else is kept of it but the store's row, so that what is in memory can be lost at
// any time.
//
// A delivery waits for its file until a deadline. Then the store's row says that it
// was missed, and why; from there on every attempt and every replay goes out without
// it, with the same words.
//
// The package never talks to WhatsApp itself, and never holds a file in memory.
package media
