// The main job with the Go client of openapi-generator.
package main

import (
	"context"
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

	_, response, err := client.TokenAPI.TokenAuth(ctx).TokenAuthRequest(*hallpass.NewTokenAuthRequest("wrong password", email)).Execute()
	check(err != nil && response.StatusCode == 401, "a wrong password")
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
	_, response, err = client.TokenAPI.TokenRefresh(ctx).RefreshTokenRequest(refresh(pair)).Execute()
	check(err != nil && response.StatusCode == 401, "a session that was ended")
	fmt.Println("openapi-generator, Go: the main job is done")
}

func refresh(pair *hallpass.TokenPair) hallpass.RefreshTokenRequest {
	request := hallpass.NewRefreshTokenRequest()
	request.SetRefreshToken(pair.GetRefreshToken())
	return *request
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
