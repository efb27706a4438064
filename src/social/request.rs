//! The authorization request and the response to it.

/// The parameters of an authorization request.
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// The redirect URI, as it is registered.
    pub redirect_uri: &'a str,
    /// The `state`.
    pub state: &'a str,
    /// The `nonce` of the id token.
    pub nonce: &'a str,
    /// The PKCE code verifier, of which the request has the challenge.
    pub code_verifier: &'a str,
}

/// The response to an authorization request, with the secrets of its flow.
#[derive(Clone, Copy)]
pub struct CodeResponse<'a> {
    /// The authorization code.
    pub code: &'a str,
    /// The request that it answers.
    pub request: AuthorizationRequest<'a>,
}
