// Small programs on Go's library; the argument names the one that runs.
package main

import (
	"bytes"
	"compress/gzip"
	"container/heap"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
)

type queue []int

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i] < q[j] }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(int)) }
func (q *queue) Pop() any          { o := *q; x := o[len(o)-1]; *q = o[:len(o)-1]; return x }

var random = rand.New(rand.NewPCG(1, 2))

var all = map[string]func(){
	"json": func() {
		var v any
		err := json.Unmarshal([]byte(`{"b":[1,2.5,"x",null,true],"a":{"c":"\u00e9"}}`), &v)
		out, _ := json.MarshalIndent(v, "", " ")
		fmt.Println(string(out), err)
	},
	"regexp": func() {
		text := strings.Repeat("ada@example.org, bob at example.com; cy@x.y ", 20)
		fmt.Println(len(regexp.MustCompile(`\w+@[\w.]+`).FindAllString(text, -1)))
	},
	"gzip": func() {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		for i := range 2000 {
			fmt.Fprintf(w, "line %d\n", i%37)
		}
		w.Close()
		n := b.Len()
		r, _ := gzip.NewReader(&b)
		back, err := io.ReadAll(r)
		fmt.Println(n, len(back), err)
	},
	"sha": func() { fmt.Printf("%x\n", sha256.Sum256(bytes.Repeat([]byte("abc"), 9999))) },
	"big": func() { fmt.Println(new(big.Int).Exp(big.NewInt(7), big.NewInt(900), nil)) },
	"heap": func() {
		q := &queue{}
		for range 2000 {
			heap.Push(q, random.IntN(1e6))
		}
		sum := 0
		for i := 0; q.Len() > 0; i++ {
			sum += i * heap.Pop(q).(int)
		}
		fmt.Println(sum)
	},
	"goroutines": func() {
		var wait sync.WaitGroup
		parts := make([]int, 50)
		for i := range parts {
			wait.Go(func() {
				for j := range 1000 {
					parts[i] += i * j
				}
			})
		}
		wait.Wait()
		fmt.Println(parts)
	},
	"channels": func() {
		c := make(chan int)
		go func() {
			defer close(c)
			for i := range 500 {
				c <- i * i
			}
		}()
		sum := 0
		for v := range c {
			sum += v
		}
		fmt.Println(sum)
	},
	"panics": func() {
		defer func() { fmt.Println(recover()) }()
		var list []int
		_ = list[len(os.Args)]
	},
	"template": func() {
		t := template.Must(template.New("").Parse("{{range $i, $w := .}}{{if $i}}, {{end}}{{printf \"%q\" $w}}{{end}}\n"))
		fmt.Println(t.Execute(os.Stdout, []string{"a", "b c", "d\n"}))
	},
	"sort": func() {
		words := strings.Fields(strings.Repeat("pear apple fig banana cherry ", 30))
		slices.Sort(words)
		fmt.Println(slices.Compact(words))
	},
	"base64": func() { fmt.Println(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1, 250, 3}, 100))) },
	"upper": func() {
		text, err := io.ReadAll(os.Stdin)
		fmt.Println(strings.ToUpper(string(text)), err)
	},
	"collector": func() {
		var keep [][]byte
		for i := range 3000 {
			if b := make([]byte, 20_000); i%100 == 0 {
				keep = append(keep, b)
			}
		}
		fmt.Println(len(keep))
	},
}

func main() {
	if os.Args[1] == "list" {
		fmt.Println(strings.Join(slices.Sorted(maps.Keys(all)), "\n"))
		return
	}
	all[os.Args[1]]()
}
