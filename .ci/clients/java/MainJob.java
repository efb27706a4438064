import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.JSON;
import org.openapitools.client.api.AccountApi;
import org.openapitools.client.api.TokenApi;
import org.openapitools.client.model.*;

/** The main job with the Java client of openapi-generator. */
public class MainJob {
    static final String EMAIL = "java@example.com";
    static final String PASSWORD = "plum tree at dusk";

    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv("SERVICE_URL"));
        AccountApi account = new AccountApi(client);
        TokenApi token = new TokenApi(client);

        Registered registered = account.register(new RegisterRequest().email(EMAIL).password(PASSWORD));
        CodeProof proof = new CodeProof().registrationToken(registered.getRegistrationToken()).code(code());
        check(account.verifyEmail(new VerifyEmailRequest(proof)).getEmail().equals(EMAIL), "verified");

        TokenAuthRequest wrong = new TokenAuthRequest().username(EMAIL).password("wrong password");
        refused("invalid_credentials", () -> token.tokenAuth(wrong));
        TokenPair pair = token.tokenAuth(new TokenAuthRequest().username(EMAIL).password(PASSWORD));
        pair = token.tokenRefresh(new RefreshTokenRequest().refreshToken(pair.getRefreshToken()));

        String bearer = "Bearer " + pair.getAccessToken();
        client.setRequestInterceptor(request -> request.header("Authorization", bearer));
        AccountApi own = new AccountApi(client);
        check(own.getMe().getEmail().equals(EMAIL), "me");
        check(own.listMyEvents(5, null).getEvents().get(0).getKind().equals("logged_in"), "events");

        RefreshTokenRequest last = new RefreshTokenRequest().refreshToken(pair.getRefreshToken());
        token.tokenRevoke(last);
        refused("refresh_token_revoked", () -> token.tokenRefresh(last));
        System.out.println("openapi-generator, Java: the main job is done");
    }

    static String code() throws Exception {
        Process process = new ProcessBuilder("python3", System.getenv("CODE_SCRIPT"), EMAIL)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        return new String(process.getInputStream().readAllBytes()).trim();
    }

    interface Call {
        Object run() throws ApiException;
    }

    static void refused(String code, Call call) throws Exception {
        try {
            call.run();
        } catch (ApiException error) {
            Problem problem = JSON.getDefault().getMapper().readValue(error.getResponseBody(), Problem.class);
            check(error.getCode() == 401 && problem.getStatus() == 401 && code.equals(problem.getCode()), code);
            return;
        }
        check(false, code);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
