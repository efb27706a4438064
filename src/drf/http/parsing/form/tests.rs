//! Tests of forms. The results are those of Django 3.2.25.

use super::*;

#[track_caller]
fn text(values: &Values, name: &str) -> String {
    match values.get(name) {
        Some(Value::Text(text)) => text.content.clone(),
        other => panic!("{other:?}"),
    }
}

fn form(body: &[u8]) -> Values {
    urlencoded(body, Charset::Utf8)
}

#[test]
fn names_and_values_are_decoded_and_the_last_of_equal_names_wins() {
    let values = form("token=x&%74oken=%ed%95%9c+é%zz&email&&=n".as_bytes());
    assert_eq!(text(&values, "token"), "한 é%zz");
    assert_eq!(text(&values, "email"), "");
}

#[test]
fn escapes_are_in_the_declared_charset() {
    assert_eq!(text(&urlencoded(b"token=%e9", Charset::Latin1), "token"), "é");
    assert_eq!(text(&form(b"token=%e9"), "token"), "\u{fffd}");
}

#[test]
fn a_query_gives_the_last_value() {
    assert_eq!(query_value("format=a&x&format=b+c", "format").as_deref(), Some("b c"));
    assert_eq!(query_value("x=format", "format"), None);
}

fn multi(body: &str) -> Values {
    multipart(body.as_bytes(), "multipart/form-data; boundary=B", Charset::Utf8).unwrap()
}

#[test]
fn the_fields_of_a_multipart_body_are_found() {
    let body = "x\r\n--B\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n1\r\n\
                --B\r\nother: x\r\n\r\nskipped\r\n\
                --B\r\ncontent-disposition: form-data; name=email\r\n\
                Content-Transfer-Encoding: base64\r\n\r\nYg==\r\n--B--\r\n";
    let values = multi(body);
    assert_eq!(text(&values, "token"), "1");
    assert_eq!(text(&values, "email"), "b");
}

fn part(headers: &str, content: &str) -> String {
    format!("--B\r\n{headers}\r\n\r\n{content}\r\n")
}

#[test]
fn the_name_of_a_part_is_read_as_django_reads_it() {
    for (disposition, is_token) in [
        ("form-data; name*=utf-8''token", true),
        ("form-data; name*=utf-8'en'to%6ben", true),
        ("form-data; name*=\"utf-8''to%6Ben\"", true),
        ("form-data; name*=''token", true),
        ("form-data; name*=token", true),
        ("form-data; name*=unknown''token", true),
        ("form-data; name*=utf-8''%e9", false),
        ("form-data; name*=utf-8'to%6ben", false),
        ("form-data; name=x; name*=utf-8''token", true),
        ("form-data; name*=utf-8''token; name=x", false),
        ("form-data; name=to%6ben", false),
        ("form-data; name=utf-8''token", false),
        ("form-data; name*0=to; name*1=ken", false),
        ("form-data; name=\" token\t\"", true),
        (r#"form-data; name="\token""#, false),
        (r#"form-data; name="token; x=1"#, false),
        (r#"form-data; x="\""; name=token"#, false),
        (r#"form-data; x="a;b"; name=token"#, true),
        ("form-data; name='token'", false),
        ("form-data; NAME=token", true),
        ("attachment; name=token", true),
        (" name=token", false),
        ("form-data", false),
        ("form-data;\r\n name=token", false),
        ("form-data; name=token;\r\n\tx=1", true),
        ("form-data; name=token\r\nContent-Disposition: x; name=other", false),
        ("form-data; name=other\r\nContent-Disposition: x; name=token", true),
        ("förm-data; name=token", false),
        ("form-data; näme=x; name=token", false),
        ("form-data; ä; name=token", true),
    ] {
        let values = multi(&part(&format!("Content-Disposition: {disposition}"), "1"));
        assert_eq!(values.get("token").is_some(), is_token, "{disposition}");
    }
    let spaced = multi(&part("Content-Disposition : form-data; name=token", "1"));
    assert_eq!(spaced.get("token"), None);
}

#[test]
fn the_content_of_a_part_is_read_as_django_reads_it() {
    let named = "Content-Disposition: form-data; name=token";
    let one = part(named, "1");
    for (body, content) in [
        // The charset of a part counts for nothing.
        (
            part(&format!("{named}\r\nContent-Type: text/plain; charset=latin-1"), "é") + "--B--",
            "é",
        ),
        (one.trim_end().to_owned(), "1"),
        (one.clone(), "1\r\n"),
        (one.clone() + "--B", "1"),
        (one.clone() + "--B--", "1"),
        (one.clone() + "--B--\r\nepilogue\r\n\r\n", "1"),
        (one.clone() + "--B--\r\n" + named + "\r\n\r\n2", "2"),
        (format!("{named}\r\n\r\n1\r\n--B--"), "1"),
        (format!("preamble\r\n{one}--B--"), "1"),
        (part(named, "") + "--B--", ""),
        (part(named, "\n") + "--B--", "\n"),
        (part(named, "1\r\n--C\r\n--") + "--B--", "1\r\n--C\r\n--"),
        (part(named, "1--B"), "1"),
    ] {
        assert_eq!(text(&multi(&body), "token"), content, "{body}");
    }
    // The line end before the boundary belongs to the boundary.
    assert_eq!(multi(&format!("--B\r\n{named}\r\n\r\n--B--")).get("token"), None);
}

#[test]
fn a_file_is_recognised_as_django_does_and_its_base64_is_checked() {
    let field = |headers: &str| {
        let body = part(&format!("Content-Disposition: form-data; name=token; {headers}"), "YWI");
        let body = body + "--B--";
        let values = multipart(body.as_bytes(), "multipart/form-data; boundary=B", Charset::Utf8);
        values.map(|values| values.get("token").cloned())
    };
    let (file, plain) = (Ok(Some(Value::Composite)), Ok(Some(Value::text("YWI"))));
    for (headers, found) in [
        ("filename=a", &file),
        ("filename*=utf-8''a%20b", &file),
        ("filename*=a", &file),
        ("filename=\"\"", &plain),
        ("filename*=\"\"", &plain),
        ("filename*=utf-8''", &plain),
        ("filename=\"a/\"", &Ok(None)),
        ("filename*=utf-8''a%2f", &Ok(None)),
        ("filename*0=a", &plain),
        ("x=1\r\nContent-Transfer-Encoding: base64", &plain),
    ] {
        assert_eq!(field(headers), *found, "{headers}");
    }
    assert_eq!(
        field("filename=a\r\nContent-Transfer-Encoding: base64"),
        Err("Could not decode base64 data.".to_owned())
    );
}

#[test]
fn a_file_wins_over_a_text_of_the_same_name() {
    let file = "--B\r\nContent-Disposition: form-data; name=token; filename=x\r\n\r\n1\r\n";
    let text = "--B\r\nContent-Disposition: form-data; name=token\r\n\r\n1\r\n";
    for body in [format!("{file}{text}--B--"), format!("{text}{file}--B--")] {
        assert_eq!(multi(&body).get("token"), Some(&Value::Composite));
    }
}

#[test]
fn a_boundary_is_needed() {
    let error = |kind| multipart(b"x", kind, Charset::Utf8).unwrap_err();
    assert_eq!(error("multipart/form-data"), "Invalid boundary in multipart: None");
    assert_eq!(error("multipart/x; boundary=\"a \""), "Invalid boundary in multipart: a ");
    assert_eq!(error("Multipart/x"), "Invalid Content-Type: Multipart/x");
}

#[test]
fn base64_is_read_as_python_reads_it() {
    for (text, bytes) in [
        ("YWI=", Some("ab")),
        ("Y!W I=\n", Some("ab")),
        ("YWI=YWI=", Some("ab")),
        ("YQ==YQ", Some("a")),
        ("YQ=!=", Some("a")),
        ("=YQ==", Some("a")),
        ("Y=Q==", Some("a")),
        ("YW=I=", Some("ab")),
        ("YWJj=", Some("abc")),
        ("!", Some("")),
        ("", Some("")),
        ("YWI", None),
        ("YQ=", None),
        ("YQ=Q", None),
        ("YW=I", None),
        ("YW=IYW==", None),
        ("Y", None),
    ] {
        let expected = bytes.map(|bytes| bytes.as_bytes().to_vec());
        assert_eq!(lenient_base64(text.as_bytes()), expected, "{text}");
    }
}
