//! Origins, headers and links of front ends.

use super::*;

#[test]
fn a_page_on_this_machine_needs_no_https() {
    for page in
        ["https://app.example.com/{token}", "http://localhost:3000/{token}", "http://[::1]/{token}"]
    {
        let mut values = PRODUCTION.to_vec();
        values.push(("HALLPASS_VERIFY_EMAIL_URL", page));
        assert_eq!(faulty(&values), Vec::<String>::new(), "{page}");
    }
}

#[test]
fn origins_are_exact() {
    let origins =
        |text: &str| read(&[("HALLPASS_CORS_ORIGINS", text)]).map(|it| it.browsers.origins);
    let two = origins("https://app.example.com, http://127.0.0.1:5173").unwrap();
    assert_eq!(two, ["https://app.example.com", "http://127.0.0.1:5173"]);
    for bad in
        ["*", "null", "https://app.example.com/", "https://*.example.com", "example.com", ","]
    {
        assert!(origins(bad).is_err(), "{bad}");
    }
    let in_production = |origin| {
        let mut values = PRODUCTION.to_vec();
        values.push(("HALLPASS_CORS_ORIGINS", origin));
        faulty(&values)
    };
    for bad in
        ["https://a.example.com,http://b.example.com", "http://localhost:5173", "http://127.0.0.1"]
    {
        assert_eq!(in_production(bad), ["HALLPASS_CORS_ORIGINS"], "{bad}");
    }
    for app in [
        "tauri://localhost",
        "capacitor://localhost",
        "ionic://localhost",
        "app://.",
        "http://localhost",
        "http://tauri.localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "com.example.app://localhost:80,https://app.example.com",
    ] {
        assert_eq!(in_production(app), Vec::<String>::new(), "{app}");
    }
    for bad in [
        "javascript://localhost",
        "data://localhost",
        "file://",
        "file://localhost",
        "blob://localhost",
        "tauri://",
        "tauri:localhost",
        "tauri://localhost/",
        "tauri://localhost?",
        "tauri://localhost#",
        "tauri://*",
        "*://localhost",
        "Tauri://localhost",
        "tauri://user@localhost",
        "tauri://a b",
        "1tauri://localhost",
        "://localhost",
        "tauri://localhost:",
        "tauri://localhost:99999",
        "null://localhost",
        "ws://localhost",
        "about://blank",
        "view-source://localhost",
    ] {
        assert_eq!(in_production(bad), ["HALLPASS_CORS_ORIGINS"], "{bad}");
    }
}

#[test]
fn headers_of_pages_are_names() {
    let headers =
        |text: &str| read(&[("HALLPASS_CORS_HEADERS", text)]).map(|it| it.browsers.headers);
    assert_eq!(headers(" X-Tenant,x_1 ").unwrap(), ["x-tenant", "x_1"]);
    for bad in ["*", "x-a,*", "x a", "x:", "x-a,,x-b", ",", "x\u{e9}", "a*"] {
        assert!(headers(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_link_may_open_an_app_but_never_run_a_script() {
    for name in ["HALLPASS_VERIFY_EMAIL_URL", "HALLPASS_PASSWORD_RESET_URL", "HALLPASS_NOT_ME_URL"]
    {
        let in_production = |page| {
            let mut values = PRODUCTION.to_vec();
            values.push((name, page));
            faulty(&values)
        };
        for page in [
            "myapp://verify/{token}",
            "myapp://verify?token={token}",
            "myapp:///verify#{token}",
            "com.example.app:/verify/{token}",
            "MyApp://verify/{token}",
            "tauri://localhost/#/verify/{token}",
        ] {
            assert_eq!(in_production(page), Vec::<String>::new(), "{page}");
        }
        for page in [
            "javascript:alert('{token}')",
            "javascript://x/%0aalert('{token}')",
            "JavaScript://x/{token}",
            "java\tscript://x/{token}",
            " javascript://x/{token}",
            "\u{1}javascript://x/{token}",
            "data:text/html,{token}",
            "data://text/{token}",
            "DATA://x/{token}",
            "vbscript://x/{token}",
            "file:///srv/{token}",
            "blob://x/{token}",
            "about:/{token}",
            "mailto:{token}",
            "ftp://x/{token}",
            "view-source://x/{token}",
            "myapp:{token}",
            "{token}://x",
            "my{token}://x",
            "myapp://verify",
            "//x/{token}",
            "myapp://{token}/{token}",
            "myapp://{token}",
            "https://{token}.example/",
            "https://user:password@app.example/#{token}",
            "https://app.example/\nv#{token}",
            "https://app.example/x y#{token}",
            "https://app.example/x\"#{token}",
            "https://app.example/<x>#{token}",
        ] {
            assert_eq!(in_production(page), [name], "{page}");
        }
    }
}
