//! The tables. A new column is added to the migrations of both databases and here.

diesel::table! {
    users (id) {
        id -> BigInt,
        username -> Text,
        username_norm -> Text,
        email -> Nullable<Text>,
        email_norm -> Nullable<Text>,
        email_verified -> Bool,
        password_hash -> Text,
        is_active -> Bool,
        is_staff -> Bool,
        is_superuser -> Bool,
        locale -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        last_login_at -> Nullable<BigInt>,
        metadata -> Text,
        disabled_reason -> Nullable<Text>,
        tokens_from -> BigInt,
        rights_changed_at -> BigInt,
        roles -> Text,
        app_metadata -> Text,
        disabled_until -> Nullable<BigInt>,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> BigInt,
        amr -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        device -> Text,
        network -> Text,
        end_reason -> Nullable<Text>,
        transport -> Nullable<Text>,
    }
}

diesel::table! {
    refresh_tokens (token_hash) {
        token_hash -> Binary,
        session_id -> Text,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
        generation -> BigInt,
    }
}

diesel::table! {
    released_names (user_id, name_hash) {
        user_id -> BigInt,
        name_hash -> Binary,
        released_at -> BigInt,
    }
}

diesel::table! {
    challenges (id) {
        id -> Text,
        kind -> Text,
        user_id -> Nullable<BigInt>,
        email -> Nullable<Text>,
        email_norm -> Nullable<Text>,
        detail -> Text,
        holder_hash -> Nullable<Binary>,
        link_hash -> Nullable<Binary>,
        code_hash -> Nullable<Binary>,
        code_tries -> Integer,
        wrong_codes -> Integer,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    registration_details (challenge_id) {
        challenge_id -> Text,
        username -> Nullable<Text>,
        password_hash -> Text,
        locale -> Text,
    }
}

diesel::table! {
    outbox (id) {
        id -> Text,
        kind -> Text,
        recipient -> Text,
        locale -> Text,
        subject_id -> Text,
        status -> Text,
        attempts -> Integer,
        next_attempt_at -> BigInt,
        lease_token -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
        user_id -> Nullable<BigInt>,
        unconfirmed -> Integer,
        rank -> BigInt,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        algorithm -> Text,
        sealed_private_key -> Binary,
        public_jwk -> Text,
        created_at -> BigInt,
        signs_from -> BigInt,
    }
}

diesel::table! {
    limits (name) {
        name -> Text,
        uses -> BigInt,
        resets_at -> BigInt,
        waits_until -> BigInt,
    }
}

diesel::table! {
    known_devices (token_hash) {
        token_hash -> Binary,
        user_id -> BigInt,
        created_at -> BigInt,
        last_seen_at -> BigInt,
    }
}

diesel::table! {
    events (id) {
        id -> Text,
        user_id -> Nullable<BigInt>,
        actor_id -> Nullable<BigInt>,
        kind -> Text,
        session_id -> Nullable<Text>,
        device -> Text,
        network -> Text,
        detail -> Text,
        at -> BigInt,
        api_key_id -> Nullable<Text>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        name -> Text,
        key_hash -> Binary,
        scopes -> Text,
        created_by -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    erasures (user_id) {
        user_id -> BigInt,
        requested_at -> BigInt,
    }
}

diesel::table! {
    identities (id) {
        id -> Text,
        user_id -> BigInt,
        provider -> Text,
        issuer -> Text,
        subject -> Text,
        email -> Nullable<Text>,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}
diesel::joinable!(registration_details -> challenges (challenge_id));

diesel::table! {
    social_flows (challenge_id) {
        challenge_id -> Text,
        provider -> Text,
        return_to -> Text,
        outcome -> Nullable<Text>,
    }
}

diesel::table! {
    pending_identities (challenge_id) {
        challenge_id -> Text,
        provider -> Text,
        issuer -> Text,
        subject -> Text,
    }
}

diesel::joinable!(social_flows -> challenges (challenge_id));

diesel::allow_tables_to_appear_in_same_query!(
    users,
    sessions,
    refresh_tokens,
    challenges,
    registration_details,
    outbox,
    signing_keys,
    limits,
    known_devices,
    events,
    erasures,
    identities,
    social_flows,
    pending_identities,
    api_keys,
);
