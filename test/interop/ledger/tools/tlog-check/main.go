// Command tlog-check verifies what a Weir log publishes with the packages behind Go's checksum database, which share no
// code with ours: the signed note, the tree head in it, and a list of proofs.
//
// It reads one JSON request per line from standard input and prints one line of JSON for each.
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	Kind  string   `json:"kind"`
	Vkey  string   `json:"vkey"`  // note, cosigned
	Note  string   `json:"note"`  // note, cosigned
	Row   string   `json:"row"`   // leaf, inclusion: base64
	Size  int64    `json:"size"`  // inclusion, consistency
	Index int64    `json:"index"` // inclusion
	Root  string   `json:"root"`  // inclusion, consistency: base64
	Old   int64    `json:"old"`   // consistency
	From  string   `json:"from"`  // consistency: base64 of the old root
	Proof []string `json:"proof"` // inclusion, consistency: base64
	Level int      `json:"level"` // path
	Width int      `json:"width"` // path
}

type answer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
	Text    string `json:"text,omitempty"`
	Unknown int    `json:"unknown,omitempty"`
	Time    uint64 `json:"time,omitempty"`
	Value   string `json:"value,omitempty"`
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var r request
		err := json.Unmarshal(input.Bytes(), &r)
		var a answer
		if err == nil {
			a, err = check(r)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		} else {
			a.OK = true
		}
		if err := output.Encode(a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := input.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(r request) (answer, error) {
	switch r.Kind {
	case "note":
		return openNote(r)
	case "cosigned":
		return openCosigned(r)
	case "leaf":
		row, err := base64.StdEncoding.DecodeString(r.Row)
		return answer{Value: tlog.RecordHash(row).String()}, err
	case "inclusion":
		return answer{}, checkInclusion(r)
	case "consistency":
		return answer{}, checkConsistency(r)
	case "path":
		return answer{Value: tilePath(r)}, nil
	}
	return answer{}, fmt.Errorf("no such kind: %q", r.Kind)
}

func openNote(r request) (answer, error) {
	verifier, err := note.NewVerifier(r.Vkey)
	if err != nil {
		return answer{}, err
	}
	opened, err := note.Open([]byte(r.Note), note.VerifierList(verifier))
	if err != nil {
		return answer{}, err
	}
	return answer{Text: opened.Text, Unknown: len(opened.UnverifiedSigs)}, nil
}

// cosigner is a note verifier for cosignature/v1, which the note package does not know by itself.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time uint64
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	c.time = binary.BigEndian.Uint64(sig)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", c.time, text)
	return ed25519.Verify(c.key, []byte(message), sig[8:])
}

func openCosigned(r request) (answer, error) {
	name, rest, _ := strings.Cut(r.Vkey, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	id, err := strconv.ParseUint(hash, 16, 32)
	if err != nil {
		return answer{}, err
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return answer{}, err
	}
	if len(key) != 1+ed25519.PublicKeySize || key[0] != 0x04 {
		return answer{}, errors.New("not a cosigner's key")
	}
	c := &cosigner{name: name, hash: uint32(id), key: key[1:]}
	opened, err := note.Open([]byte(r.Note), note.VerifierList(c))
	if err != nil {
		return answer{}, err
	}
	return answer{Text: opened.Text, Unknown: len(opened.UnverifiedSigs), Time: c.time}, nil
}

func checkInclusion(r request) error {
	root, err := tlog.ParseHash(r.Root)
	if err != nil {
		return err
	}
	row, err := base64.StdEncoding.DecodeString(r.Row)
	if err != nil {
		return err
	}
	proof, err := hashes(r.Proof)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, r.Size, root, r.Index, tlog.RecordHash(row))
}

func checkConsistency(r request) error {
	root, err := tlog.ParseHash(r.Root)
	if err != nil {
		return err
	}
	old, err := tlog.ParseHash(r.From)
	if err != nil {
		return err
	}
	proof, err := hashes(r.Proof)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, r.Size, root, r.Old, old)
}

func hashes(texts []string) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, 0, len(texts))
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, err
		}
		list = append(list, hash)
	}
	return list, nil
}

// tilePath is the checksum database's spelling of a tile, which differs from ours only in the height it names.
func tilePath(r request) string {
	path := tlog.Tile{H: 8, L: r.Level, N: r.Index, W: r.Width}.Path()
	return "tile/" + strings.TrimPrefix(path, "tile/8/")
}
