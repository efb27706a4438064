// A service that authenticates its callers:
//
//	go mod tidy
//	HALLPASS_PUBLIC_URL=http://127.0.0.1:8000 PORT=3000 go run .
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	maxStaleness, err := strconv.Atoi(setting("MAX_STALENESS", "30"))
	if err != nil {
		log.Fatal(err)
	}
	issuer := setting("HALLPASS_PUBLIC_URL", "http://127.0.0.1:8000")
	verifier := NewVerifier(issuer, setting("AUDIENCE", issuer), time.Duration(maxStaleness)*time.Second)
	listener, err := net.Listen("tcp", "127.0.0.1:"+setting("PORT", "3000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := authenticate(verifier, r)
		var refused Refused
		switch {
		case errors.As(err, &refused):
			// RFC 6750 section 3.1: an error code only where a token was sent.
			challenge := `Bearer error="invalid_token"`
			if refused == "authentication_required" {
				challenge = "Bearer"
			}
			w.Header().Set("WWW-Authenticate", challenge)
			answer(w, http.StatusUnauthorized, map[string]any{"code": refused})
		case err != nil:
			w.Header().Set("Retry-After", "1")
			answer(w, http.StatusServiceUnavailable, map[string]any{"code": "unavailable"})
		default:
			answer(w, http.StatusOK, map[string]any{"user_id": claims.UserID, "username": claims.Username})
		}
	})))
}

func authenticate(verifier *Verifier, r *http.Request) (*Claims, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, Refused("authentication_required")
	}
	return verifier.Verify(token)
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
