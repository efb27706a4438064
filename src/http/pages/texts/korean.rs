//! Texts of the pages in Korean.

use super::{NotMe, PasswordReset, Texts, VerifyEmail};

pub(super) static TEXTS: Texts = Texts {
    invalid_link: "유효하지 않은 링크입니다. 가장 최근에 받은 메일의 링크를 열어 주십시오.",
    try_again: "지금은 처리할 수 없습니다. 잠시 후 다시 시도해 주십시오.",
    verify_email: VerifyEmail {
        done: "이메일 주소가 확인되었습니다. 이제 로그인하실 수 있습니다.",
        expired: "이 링크는 만료되었습니다. 다시 가입해 주십시오.",
        wrong_password: "비밀번호가 맞지 않습니다.",
        password: "계정의 비밀번호",
        submit: "이메일 주소 확인",
    },
    password_reset: PasswordReset {
        done: "새 비밀번호가 설정되었습니다. 이제 로그인하실 수 있습니다.",
        expired: "이 링크는 만료되었습니다. 비밀번호 재설정을 다시 요청해 주십시오.",
        too_short: "비밀번호는 {min_length}자 이상이어야 합니다.",
        too_long: "비밀번호가 너무 깁니다.",
        too_common: "너무 흔한 비밀번호입니다. 다른 비밀번호를 정해 주십시오.",
        breached: "다른 서비스에서 유출된 적이 있는 비밀번호입니다. 다른 비밀번호를 정해 주십시오.",
        too_similar: "비밀번호에 본인의 이메일 주소나 이름이 들어 있습니다.",
        password: "새 비밀번호",
        submit: "비밀번호 설정",
    },
    not_me: NotMe {
        done: "모든 로그인이 종료되었습니다. 새 비밀번호를 정할 수 있는 메일을 보내 드렸습니다.",
        expired: "이 링크는 만료되었습니다. 비밀번호를 재설정하여 계정을 보호해 주십시오.",
        explanation: "본인이 하신 일이 아니라면, 아래 버튼으로 계정의 모든 로그인을 종료할 수 \
                      있습니다. 그 다음 새 비밀번호를 정할 수 있는 메일을 보내 드립니다.",
        submit: "제가 한 일이 아닙니다",
    },
};
