// Runs asynq, with its defaults except for the number of concurrent jobs; measures what measure.py measures.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

const (
	atOnce   = 32
	warmUp   = 100
	nap      = 100 * time.Millisecond
	napsPerS = 160
)

type arguments struct {
	N      int     `json:"n"`
	SentAt float64 `json:"sent_at"`
}

// now reads CLOCK_MONOTONIC, like Python's time.monotonic.
func now() float64 {
	var at unix.Timespec
	must(unix.ClockGettime(unix.CLOCK_MONOTONIC, &at))
	return float64(at.Sec) + float64(at.Nsec)/1e9
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func task(kind string, given arguments) *asynq.Task {
	payload, err := json.Marshal(given)
	must(err)
	return asynq.NewTask(kind, payload, asynq.Retention(24*time.Hour))
}

func work(url string, concurrency int) {
	notes := open(url)
	ctx := context.Background()
	mux := asynq.NewServeMux()
	read := func(t *asynq.Task) (given arguments, err error) {
		return given, json.Unmarshal(t.Payload(), &given)
	}
	mux.HandleFunc("noop", func(_ context.Context, t *asynq.Task) error {
		given, err := read(t)
		if err != nil {
			return err
		}
		_, err = t.ResultWriter().Write([]byte(strconv.Itoa(given.N)))
		return err
	})
	mux.HandleFunc("nap", func(context.Context, *asynq.Task) error { time.Sleep(nap); return nil })
	mux.HandleFunc("mark", func(_ context.Context, t *asynq.Task) error {
		at := now()
		given, err := read(t)
		if err != nil {
			return err
		}
		return notes.RPush(ctx, "bench:marks", at-given.SentAt).Err()
	})
	mux.HandleFunc("hold", func(context.Context, *asynq.Task) error {
		must(notes.RPush(ctx, "bench:holds:asynq", now()).Err())
		select {}
	})
	must(notes.RPush(ctx, "bench:started", now()).Err())
	options, err := asynq.ParseRedisURI(url)
	must(err)
	must(asynq.NewServer(options, asynq.Config{Concurrency: concurrency, LogLevel: asynq.WarnLevel}).Run(mux))
}

func open(url string) *redis.Client {
	options, err := redis.ParseURL(url)
	must(err)
	return redis.NewClient(options)
}

func enqueue(client *asynq.Client, kind string, given arguments) {
	_, err := client.Enqueue(task(kind, given))
	must(err)
}

func submit(client *asynq.Client, count int) float64 {
	for n := range warmUp {
		enqueue(client, "noop", arguments{N: n})
	}
	began := now()
	for n := range count {
		enqueue(client, "noop", arguments{N: n})
	}
	return now() - began
}

// submitMany runs 32 calls at a time: asynq has no bulk call.
func submitMany(client *asynq.Client, count int) float64 {
	began := now()
	var all sync.WaitGroup
	for first := range atOnce {
		all.Go(func() {
			for n := first; n < count; n += atOnce {
				enqueue(client, "noop", arguments{N: n})
			}
		})
	}
	all.Wait()
	return now() - began
}

func pickup(client *asynq.Client, url string, count int, pollS float64) []float64 {
	marks := open(url)
	defer marks.Close()
	waits := make([]float64, 0, count)
	for range count {
		time.Sleep(time.Duration((0.01 + rand.Float64()*(0.01+pollS)) * float64(time.Second)))
		enqueue(client, "mark", arguments{SentAt: now()})
		row, err := marks.BLPop(context.Background(), 30*time.Second, "bench:marks").Result()
		must(err)
		waited, err := strconv.ParseFloat(row[1], 64)
		must(err)
		waits = append(waits, waited*1000)
	}
	return waits
}

func pickupLoaded(client *asynq.Client, url string, count int, pollS float64) []float64 {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Duration(rand.ExpFloat64() / napsPerS * float64(time.Second))):
				enqueue(client, "nap", arguments{})
			}
		}
	}()
	time.Sleep(time.Second)
	return pickup(client, url, count, pollS)
}

func main() {
	command, url := os.Args[1], os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	must(err)
	pollS, err := strconv.ParseFloat(os.Args[4], 64)
	must(err)
	switch command {
	case "work":
		work(url, atOnce)
		return
	case "work_cores": // Go's scheduler uses all cores; count is their number
		work(url, atOnce*count)
		return
	}
	options, err := asynq.ParseRedisURI(url)
	must(err)
	client := asynq.NewClient(options)
	defer client.Close()
	var measured any
	switch command {
	case "submit":
		measured = submit(client, count)
	case "submit_many":
		measured = submitMany(client, count)
	case "pickup":
		measured = pickup(client, url, count, pollS)
	case "pickup_loaded":
		measured = pickupLoaded(client, url, count, pollS)
	case "hold":
		enqueue(client, "hold", arguments{})
	default:
		log.Fatalf("no command %q", command)
	}
	said, err := json.Marshal(measured)
	must(err)
	fmt.Println(string(said))
}
