// Command clients is a client of google.golang.org/grpc: it does what it is told by lines of JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	generation "example.com/clients/gen/mesh/generation/v1"
	inference "example.com/clients/gen/mesh/inference/v1"
	router "example.com/clients/gen/mesh/router/v1"
)

const largestBytes = 16 << 20

type command struct {
	Do                string `json:"do"`
	Address           string `json:"address"`
	CA                string `json:"ca"`
	KeepaliveMs       int    `json:"keepaliveMs"`
	Key               string `json:"key"`
	RequestID         string `json:"requestId"`
	TimeoutMs         int    `json:"timeoutMs"`
	MaxTokens         uint32 `json:"maxTokens"`
	CancelAfterDeltas int    `json:"cancelAfterDeltas"`
	Count             int    `json:"count"`
	TextBytes         int    `json:"textBytes"`
	Dimensions        uint32 `json:"dimensions"`
}

type violation struct {
	Subject     string `json:"subject"`
	Description string `json:"description"`
	QuotaID     string `json:"quotaId"`
}

type details struct {
	Reason       string            `json:"reason,omitempty"`
	Domain       string            `json:"domain,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	RetryDelayMs float64           `json:"retryDelayMs,omitempty"`
	Violations   []violation       `json:"violations,omitempty"`
}

type told struct {
	Code             string       `json:"code"`
	Message          string       `json:"message,omitempty"`
	Details          *details     `json:"details,omitempty"`
	RequestIDHeader  string       `json:"requestIdHeader,omitempty"`
	Models           []string     `json:"models,omitempty"`
	Events           []string     `json:"events,omitempty"`
	Text             string       `json:"text"`
	RequestID        string       `json:"requestId,omitempty"`
	CompletionTokens uint32       `json:"completionTokens,omitempty"`
	Vectors          [][2]float64 `json:"vectors,omitempty"`
}

// client is where calls go, and the way there.
type client struct {
	connection *grpc.ClientConn
	router     router.RouterServiceClient
}

func connect(to command) (*client, error) {
	transport := insecure.NewCredentials()
	if to.CA != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(to.CA, ""); err != nil {
			return nil, err
		}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestBytes), grpc.MaxCallSendMsgSize(largestBytes)),
	}
	if to.KeepaliveMs > 0 {
		every := time.Duration(to.KeepaliveMs) * time.Millisecond
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: every, Timeout: 20 * time.Second}))
	}
	connection, err := grpc.NewClient(to.Address, options...)
	if err != nil {
		return nil, err
	}
	return &client{connection, router.NewRouterServiceClient(connection)}, nil
}

// contextOf has the deadline and the metadata of a call.
func contextOf(call command) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	if call.TimeoutMs > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(call.TimeoutMs)*time.Millisecond)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+call.Key)
	if call.RequestID != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", call.RequestID)
	}
	return ctx, cancel
}

// fail adds what an error says.
func (t *told) fail(err error) {
	failed := status.Convert(err)
	t.Code, t.Message, t.Details = code.Code(failed.Code()).String(), failed.Message(), &details{}
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			t.Details.Reason, t.Details.Domain, t.Details.Metadata = detail.Reason, detail.Domain, detail.Metadata
		case *errdetails.RetryInfo:
			t.Details.RetryDelayMs = float64(detail.RetryDelay.AsDuration()) / float64(time.Millisecond)
		case *errdetails.QuotaFailure:
			for _, each := range detail.Violations {
				t.Details.Violations = append(t.Details.Violations, violation{each.Subject, each.Description, each.QuotaId})
			}
		}
	}
}

func (t *told) headers(header metadata.MD) {
	t.RequestIDHeader = strings.Join(header.Get("x-request-id"), ",")
}

func text(value string) *generation.Prompt {
	return &generation.Prompt{Input: &generation.Prompt_Text{Text: value}}
}

func (c *client) models(call command) (answer told) {
	ctx, cancel := contextOf(call)
	defer cancel()
	var header metadata.MD
	listed, err := c.router.ListModels(ctx, &router.ListModelsRequest{}, grpc.Header(&header))
	if err != nil {
		answer.fail(err)
		return
	}
	answer.Code = "OK"
	answer.headers(header)
	for _, model := range listed.Models {
		answer.Models = append(answer.Models, model.Id)
	}
	return
}

func (c *client) generate(call command) (answer told) {
	ctx, cancel := contextOf(call)
	defer cancel()
	stream, err := c.router.Generate(ctx, &generation.GenerateRequest{
		Prompt:   text("hi"),
		Sampling: &generation.SamplingParameters{MaxTokens: proto.Uint32(call.MaxTokens)},
	})
	if err != nil {
		answer.fail(err)
		return
	}
	for deltas := 0; ; {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			answer.Code = "OK"
			header, _ := stream.Header()
			answer.headers(header)
			return
		}
		if err != nil {
			answer.fail(err)
			return
		}
		switch event := event.Event.(type) {
		case *generation.GenerationEvent_Started:
			answer.Events = append(answer.Events, "started")
			answer.RequestID = event.Started.RequestId
		case *generation.GenerationEvent_Delta:
			answer.Events = append(answer.Events, "delta")
			answer.Text += event.Delta.Text
			if deltas++; deltas == call.CancelAfterDeltas {
				cancel()
			}
		case *generation.GenerationEvent_Finished:
			answer.Events = append(answer.Events, "finished")
		case *generation.GenerationEvent_Usage:
			answer.Events = append(answer.Events, "usage")
			answer.CompletionTokens = event.Usage.CompletionTokens
		}
	}
}

func (c *client) embed(call command) (answer told) {
	ctx, cancel := contextOf(call)
	defer cancel()
	request := &inference.EmbedRequest{Dimensions: proto.Uint32(call.Dimensions)}
	for range call.Count {
		request.Inputs = append(request.Inputs, text(strings.Repeat("x", call.TextBytes)))
	}
	embedded, err := c.router.Embed(ctx, request)
	if err != nil {
		answer.fail(err)
		return
	}
	answer.Code = "OK"
	for _, vector := range embedded.Embeddings {
		length := len(vector.Values)
		answer.Vectors = append(answer.Vectors, [2]float64{float64(length), float64(vector.Values[length-1])})
	}
	return
}

func main() {
	var to *client
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var next command
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			panic(err)
		}
		answer := told{Code: "OK"}
		switch next.Do {
		case "connect":
			if to != nil {
				to.connection.Close()
			}
			var err error
			if to, err = connect(next); err != nil {
				panic(err)
			}
		case "models":
			answer = to.models(next)
		case "generate":
			answer = to.generate(next)
		case "embed":
			answer = to.embed(next)
		}
		line, err := json.Marshal(answer)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}
