-- Copies what is pending into challenges (docs/adr/0020-challenges.md) and keeps it in step.
--
-- Instances of the version before go on with registrations and one_time_tokens for a while.
-- Triggers keep those tables and these equal, in the transaction of each change; the next version
-- drops them with the triggers.

INSERT INTO challenges
    SELECT id,
        CASE WHEN changes_email THEN 'change_email'
             WHEN user_id IS NULL OR proven_at IS NOT NULL THEN 'registration'
             ELSE 'verify_email' END,
        user_id, nullif(email, ''), nullif(email_norm, ''), '', token_hash, link_hash, code_hash,
        code_tries, wrong_codes, created_at, expires_at, proven_at
    FROM registrations;
INSERT INTO registration_details
    SELECT id, username, password_hash, locale FROM registrations WHERE email <> '';
INSERT INTO challenges
    SELECT id, purpose, user_id, email, NULL, detail, NULL, link_hash, code_hash,
        code_tries, wrong_codes, created_at, expires_at, used_at
    FROM one_time_tokens;

CREATE UNIQUE INDEX challenges_by_holder ON challenges (holder_hash);
CREATE UNIQUE INDEX challenges_by_link ON challenges (link_hash);
CREATE INDEX challenges_by_email ON challenges (email_norm, created_at);
CREATE INDEX challenges_by_user ON challenges (user_id, kind);
CREATE INDEX challenges_of_user ON challenges (user_id, id);
CREATE INDEX challenges_by_expiry ON challenges (kind, expires_at);
CREATE INDEX challenges_to_erase ON challenges (expires_at) WHERE email_norm IS NOT NULL;

-- Each statement of a trigger writes only what differs, so an echo ends at once.
CREATE TRIGGER challenges_inserted AFTER INSERT ON challenges
WHEN NEW.kind IN ('reset_password', 'invitation', 'disavow')
BEGIN
    INSERT INTO one_time_tokens (id, user_id, purpose, email, detail, link_hash, code_hash,
            code_tries, wrong_codes, created_at, expires_at, used_at)
        SELECT NEW.id, NEW.user_id, NEW.kind, NEW.email, NEW.detail, NEW.link_hash, NEW.code_hash,
            NEW.code_tries, NEW.wrong_codes, NEW.created_at, NEW.expires_at, NEW.used_at
        WHERE NOT EXISTS (SELECT 1 FROM one_time_tokens WHERE id = NEW.id);
END;

CREATE TRIGGER challenges_updated AFTER UPDATE ON challenges
BEGIN
    UPDATE one_time_tokens
        SET (link_hash, code_hash, code_tries, wrong_codes, used_at)
            = (NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.used_at)
        WHERE id = NEW.id
            AND (link_hash, code_hash, code_tries, wrong_codes, used_at)
                IS NOT (NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.used_at);
    UPDATE registrations
        SET (user_id, email, email_norm, link_hash, code_hash, code_tries, wrong_codes, proven_at)
            = (NEW.user_id, coalesce(NEW.email, ''), coalesce(NEW.email_norm, ''), NEW.link_hash,
                NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.used_at)
        WHERE id = NEW.id
            AND (user_id, email, email_norm, link_hash, code_hash, code_tries, wrong_codes, proven_at)
                IS NOT (NEW.user_id, coalesce(NEW.email, ''), coalesce(NEW.email_norm, ''),
                    NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.used_at);
END;

CREATE TRIGGER challenges_deleted AFTER DELETE ON challenges
BEGIN
    DELETE FROM one_time_tokens WHERE id = OLD.id;
    DELETE FROM registrations WHERE id = OLD.id;
END;

CREATE TRIGGER registration_details_inserted AFTER INSERT ON registration_details
BEGIN
    INSERT INTO registrations (id, user_id, email, email_norm, username, password_hash, locale,
            token_hash, link_hash, code_hash, code_tries, wrong_codes, created_at, expires_at,
            proven_at, changes_email)
        SELECT id, user_id, coalesce(email, ''), coalesce(email_norm, ''), NEW.username,
            NEW.password_hash, NEW.locale, holder_hash, link_hash, code_hash, code_tries, wrong_codes,
            created_at, expires_at, used_at, kind = 'change_email'
        FROM challenges
        WHERE id = NEW.challenge_id AND kind IN ('registration', 'verify_email', 'change_email')
            AND NOT EXISTS (SELECT 1 FROM registrations WHERE id = NEW.challenge_id);
END;

CREATE TRIGGER registration_details_deleted AFTER DELETE ON registration_details
BEGIN
    UPDATE registrations SET username = NULL, password_hash = ''
        WHERE id = OLD.challenge_id AND password_hash <> '';
END;

CREATE TRIGGER one_time_tokens_inserted AFTER INSERT ON one_time_tokens
BEGIN
    INSERT INTO challenges (id, kind, user_id, email, detail, link_hash, code_hash, code_tries,
            wrong_codes, created_at, expires_at, used_at)
        SELECT NEW.id, NEW.purpose, NEW.user_id, NEW.email, NEW.detail, NEW.link_hash, NEW.code_hash,
            NEW.code_tries, NEW.wrong_codes, NEW.created_at, NEW.expires_at, NEW.used_at
        WHERE NOT EXISTS (SELECT 1 FROM challenges WHERE id = NEW.id);
END;

CREATE TRIGGER one_time_tokens_updated AFTER UPDATE ON one_time_tokens
BEGIN
    UPDATE challenges
        SET (link_hash, code_hash, code_tries, wrong_codes, used_at)
            = (NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.used_at)
        WHERE id = NEW.id
            AND (link_hash, code_hash, code_tries, wrong_codes, used_at)
                IS NOT (NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.used_at);
END;

CREATE TRIGGER one_time_tokens_deleted AFTER DELETE ON one_time_tokens
BEGIN
    DELETE FROM challenges WHERE id = OLD.id;
END;

CREATE TRIGGER registrations_inserted AFTER INSERT ON registrations
WHEN NOT EXISTS (SELECT 1 FROM challenges WHERE id = NEW.id)
BEGIN
    INSERT INTO challenges (id, kind, user_id, email, email_norm, detail, holder_hash, link_hash,
            code_hash, code_tries, wrong_codes, created_at, expires_at, used_at)
        VALUES (NEW.id,
            CASE WHEN NEW.changes_email THEN 'change_email'
                 WHEN NEW.user_id IS NULL THEN 'registration'
                 ELSE 'verify_email' END,
            NEW.user_id, nullif(NEW.email, ''), nullif(NEW.email_norm, ''), '', NEW.token_hash,
            NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.created_at,
            NEW.expires_at, NEW.proven_at);
    INSERT INTO registration_details (challenge_id, username, password_hash, locale)
        SELECT NEW.id, NEW.username, NEW.password_hash, NEW.locale WHERE NEW.email <> '';
END;

CREATE TRIGGER registrations_updated AFTER UPDATE ON registrations
BEGIN
    UPDATE challenges
        SET (user_id, email, email_norm, link_hash, code_hash, code_tries, wrong_codes, used_at)
            = (NEW.user_id, nullif(NEW.email, ''), nullif(NEW.email_norm, ''), NEW.link_hash,
                NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.proven_at)
        WHERE id = NEW.id
            AND (user_id, email, email_norm, link_hash, code_hash, code_tries, wrong_codes, used_at)
                IS NOT (NEW.user_id, nullif(NEW.email, ''), nullif(NEW.email_norm, ''),
                    NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.proven_at);
    DELETE FROM registration_details WHERE challenge_id = NEW.id AND NEW.email = '';
END;

CREATE TRIGGER registrations_deleted AFTER DELETE ON registrations
BEGIN
    DELETE FROM challenges WHERE id = OLD.id;
END;
