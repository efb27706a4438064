// The main job with the Go client of openapi-generator.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"

	"hallpass"
)

const (
	email    = "go@example.com"
	password = "plum tree at dusk"
)

func main() {
	configuration := hallpass.NewConfiguration()
	configuration.Servers = hallpass.ServerConfigurations{{URL: os.Getenv("SERVICE_URL")}}
	client := hallpass.NewAPIClient(configuration)
	ctx := context.Background()

	registered, _, err := client.AccountAPI.Register(ctx).RegisterRequest(*hallpass.NewRegisterRequest(email, password)).Execute()
	must(err)
	code, err := exec.Command("python3", os.Getenv("CODE_SCRIPT"), email).Output()
	must(err)
	proof := hallpass.NewCodeProof(strings.TrimSpace(string(code)), registered.GetRegistrationToken())
	verified, _, err := client.AccountAPI.VerifyEmail(ctx).VerifyEmailRequest(hallpass.CodeProofAsVerifyEmailRequest(proof)).Execute()
	must(err)
	check(verified.Email == email, "verified")

	_, _, err = client.TokenAPI.TokenAuth(ctx).TokenAuthRequest(*hallpass.NewTokenAuthRequest("wrong password", email)).Execute()
	refused(err, "invalid_credentials")
	pair, _, err := client.TokenAPI.TokenAuth(ctx).TokenAuthRequest(*hallpass.NewTokenAuthRequest(password, email)).Execute()
	must(err)
	pair, _, err = client.TokenAPI.TokenRefresh(ctx).RefreshTokenRequest(refresh(pair)).Execute()
	must(err)

	own := context.WithValue(ctx, hallpass.ContextAccessToken, pair.AccessToken)
	me, _, err := client.AccountAPI.GetMe(own).Execute()
	must(err)
	check(me.Email == email, "me")
	events, _, err := client.AccountAPI.ListMyEvents(own).Limit(5).Execute()
	must(err)
	check(events.Events[0].Kind == "logged_in", "events")

	_, err = client.TokenAPI.TokenRevoke(ctx).RefreshTokenRequest(refresh(pair)).Execute()
	must(err)
	_, _, err = client.TokenAPI.TokenRefresh(ctx).RefreshTokenRequest(refresh(pair)).Execute()
	refused(err, "refresh_token_revoked")
	fmt.Println("openapi-generator, Go: the main job is done")
}

func refresh(pair *hallpass.TokenPair) hallpass.RefreshTokenRequest {
	request := hallpass.NewRefreshTokenRequest()
	request.SetRefreshToken(pair.GetRefreshToken())
	return *request
}

func refused(err error, code string) {
	var failure *hallpass.GenericOpenAPIError
	check(errors.As(err, &failure), fmt.Sprint(code, ": ", err))
	problem, typed := failure.Model().(hallpass.Problem)
	check(typed && problem.Code == code && problem.Status == 401, fmt.Sprint(code, ": ", string(failure.Body())))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func check(holds bool, what string) {
	if !holds {
		log.Fatal(what)
	}
}
