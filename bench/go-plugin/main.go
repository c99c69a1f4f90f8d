// Calls a plugin process through HashiCorp go-plugin over gRPC, and prints one JSON line a stretch that stdin orders.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"sync"
	"time"

	wrapperspb "github.com/golang/protobuf/ptypes/wrappers"
	hclog "github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BENCH", MagicCookieValue: "echo"}

const method = "/bench.Echo/Call"

type echoServer interface{}

func call(_ interface{}, ctx context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(wrapperspb.StringValue)
	return in, decode(in)
}

var service = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*echoServer)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: call}},
}

type echoPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (echoPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&service, struct{}{})
	return nil
}

func (echoPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (interface{}, error) {
	return conn, nil
}

var plugins = map[string]plugin.Plugin{"echo": echoPlugin{}}

type order struct {
	Bytes    int `json:"bytes"`
	Count    int `json:"count"`
	InFlight int `json:"inFlight"`
}

type driven struct {
	Count     int     `json:"count"`
	ElapsedMs float64 `json:"elapsedMs"`
	P50Us     float64 `json:"p50Us"`
	P99Us     float64 `json:"p99Us"`
}

func drive(conn *grpc.ClientConn, o order) (driven, error) {
	payload := &wrapperspb.StringValue{Value: string(make([]byte, o.Bytes))}
	latencies := make([]float64, o.Count)
	next := make(chan int, o.Count)
	for n := 0; n < o.Count; n++ {
		next <- n
	}
	close(next)
	var failed error
	var group sync.WaitGroup
	start := time.Now()
	for w := 0; w < o.InFlight; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range next {
				began := time.Now()
				if err := conn.Invoke(context.Background(), method, payload, new(wrapperspb.StringValue)); err != nil {
					failed = err
				}
				latencies[n] = float64(time.Since(began).Nanoseconds()) / 1000
			}
		}()
	}
	group.Wait()
	elapsed := float64(time.Since(start).Nanoseconds()) / 1e6
	sort.Float64s(latencies)
	return driven{o.Count, elapsed, latencies[o.Count/2], latencies[o.Count*99/100]}, failed
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		plugin.Serve(&plugin.ServeConfig{HandshakeConfig: handshake, Plugins: plugins, GRPCServer: plugin.DefaultGRPCServer, Logger: hclog.NewNullLogger()})
		return
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugins,
		Cmd:              exec.Command(os.Args[0], "plugin"),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Stderr:           os.Stderr,
	})
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	raw, err := protocol.Dispense("echo")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var o order
		if err := json.Unmarshal(orders.Bytes(), &o); err != nil {
			break
		}
		result, err := drive(raw.(*grpc.ClientConn), o)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
		json.NewEncoder(os.Stdout).Encode(result)
	}
}
