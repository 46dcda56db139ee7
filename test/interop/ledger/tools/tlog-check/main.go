// Command tlog-check verifies what a Weir log publishes with the packages behind Go's checksum database and those of
// transparency.dev, which share no code with ours: signed notes, cosignatures, checkpoints and proofs.
//
// It reads one JSON request per line from standard input and prints one line of JSON for each.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	f_log "github.com/transparency-dev/formats/log"
	f_note "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	Kind  string   `json:"kind"`
	Vkey  string   `json:"vkey"`  // note, cosigned, proof
	Note  string   `json:"note"`  // note, cosigned, proof
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
	Time    int64  `json:"time,omitempty"`
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
	case "proof":
		return checkProof(r)
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

func openCosigned(r request) (answer, error) {
	verifier, err := f_note.NewVerifierForCosignatureV1(r.Vkey)
	if err != nil {
		return answer{}, err
	}
	opened, err := note.Open([]byte(r.Note), note.VerifierList(verifier))
	if err != nil {
		return answer{}, err
	}
	at, err := f_note.CoSigV1Timestamp(opened.Sigs[0])
	if err != nil {
		return answer{}, err
	}
	return answer{Text: opened.Text, Unknown: len(opened.UnverifiedSigs), Time: at.Unix()}, nil
}

// checkProof reads c2sp.org/tlog-proof@v1 as its specification says and verifies it for the row that it carries.
func checkProof(r request) (answer, error) {
	verifier, err := note.NewVerifier(r.Vkey)
	if err != nil {
		return answer{}, err
	}
	head, checkpoint, found := strings.Cut(r.Note, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return answer{}, errors.New("not a proof")
	}
	row, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return answer{}, err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return answer{}, err
	}
	proof, err := hashes(lines[3:])
	if err != nil {
		return answer{}, err
	}
	tree, _, _, err := f_log.ParseCheckpoint([]byte(checkpoint), verifier.Name(), verifier)
	if err != nil {
		return answer{}, err
	}
	root := tlog.Hash(tree.Hash)
	return answer{Text: string(row)}, tlog.CheckRecord(proof, int64(tree.Size), root, index, tlog.RecordHash(row))
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
