-- Copies what is pending into challenges (docs/adr/0020-challenges.md) and keeps it in step.
--
-- Instances of the version before go on with registrations and one_time_tokens for a while.
-- Triggers keep those tables and these equal, in the transaction of each change; the next version
-- drops them with the triggers. No row may come or change between the copy and the triggers.
LOCK TABLE registrations, one_time_tokens IN SHARE ROW EXCLUSIVE MODE;

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

CREATE FUNCTION mirror_challenge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.kind IN ('reset_password', 'invitation', 'disavow') THEN
            INSERT INTO one_time_tokens (id, user_id, purpose, email, detail, link_hash, code_hash,
                    code_tries, wrong_codes, created_at, expires_at, used_at)
                VALUES (NEW.id, NEW.user_id, NEW.kind, NEW.email, NEW.detail, NEW.link_hash,
                    NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.created_at, NEW.expires_at,
                    NEW.used_at);
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE one_time_tokens
            SET link_hash = NEW.link_hash, code_hash = NEW.code_hash, code_tries = NEW.code_tries,
                wrong_codes = NEW.wrong_codes, used_at = NEW.used_at
            WHERE id = NEW.id;
        UPDATE registrations
            SET user_id = NEW.user_id, email = coalesce(NEW.email, ''),
                email_norm = coalesce(NEW.email_norm, ''), link_hash = NEW.link_hash,
                code_hash = NEW.code_hash, code_tries = NEW.code_tries,
                wrong_codes = NEW.wrong_codes, proven_at = NEW.used_at
            WHERE id = NEW.id;
    ELSE
        DELETE FROM one_time_tokens WHERE id = OLD.id;
        DELETE FROM registrations WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION mirror_registration_details() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO registrations (id, user_id, email, email_norm, username, password_hash, locale,
                token_hash, link_hash, code_hash, code_tries, wrong_codes, created_at, expires_at,
                proven_at, changes_email)
            SELECT id, user_id, coalesce(email, ''), coalesce(email_norm, ''), NEW.username,
                NEW.password_hash, NEW.locale, holder_hash, link_hash, code_hash, code_tries,
                wrong_codes, created_at, expires_at, used_at, kind = 'change_email'
            FROM challenges
            WHERE id = NEW.challenge_id AND kind IN ('registration', 'verify_email', 'change_email');
    ELSE
        UPDATE registrations SET username = NULL, password_hash = '' WHERE id = OLD.challenge_id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION mirror_one_time_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO challenges (id, kind, user_id, email, detail, link_hash, code_hash, code_tries,
                wrong_codes, created_at, expires_at, used_at)
            VALUES (NEW.id, NEW.purpose, NEW.user_id, NEW.email, NEW.detail, NEW.link_hash,
                NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.created_at, NEW.expires_at,
                NEW.used_at);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE challenges
            SET link_hash = NEW.link_hash, code_hash = NEW.code_hash, code_tries = NEW.code_tries,
                wrong_codes = NEW.wrong_codes, used_at = NEW.used_at
            WHERE id = NEW.id;
    ELSE
        DELETE FROM challenges WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION mirror_registration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO challenges (id, kind, user_id, email, email_norm, detail, holder_hash, link_hash,
                code_hash, code_tries, wrong_codes, created_at, expires_at, used_at)
            VALUES (NEW.id,
                CASE WHEN NEW.changes_email THEN 'change_email'
                     WHEN NEW.user_id IS NULL THEN 'registration'
                     ELSE 'verify_email' END,
                NEW.user_id, nullif(NEW.email, ''), nullif(NEW.email_norm, ''), '', NEW.token_hash,
                NEW.link_hash, NEW.code_hash, NEW.code_tries, NEW.wrong_codes, NEW.created_at,
                NEW.expires_at, NEW.proven_at);
        IF NEW.email <> '' THEN
            INSERT INTO registration_details (challenge_id, username, password_hash, locale)
                VALUES (NEW.id, NEW.username, NEW.password_hash, NEW.locale);
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE challenges
            SET user_id = NEW.user_id, email = nullif(NEW.email, ''),
                email_norm = nullif(NEW.email_norm, ''), link_hash = NEW.link_hash,
                code_hash = NEW.code_hash, code_tries = NEW.code_tries,
                wrong_codes = NEW.wrong_codes, used_at = NEW.proven_at
            WHERE id = NEW.id;
        IF NEW.email = '' THEN
            DELETE FROM registration_details WHERE challenge_id = NEW.id;
        END IF;
    ELSE
        DELETE FROM challenges WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END $$;

-- What a trigger writes is not written back.
CREATE TRIGGER challenges_changed AFTER INSERT OR UPDATE OR DELETE ON challenges
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION mirror_challenge();
CREATE TRIGGER registration_details_changed AFTER INSERT OR DELETE ON registration_details
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION mirror_registration_details();
CREATE TRIGGER one_time_tokens_changed AFTER INSERT OR UPDATE OR DELETE ON one_time_tokens
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION mirror_one_time_token();
CREATE TRIGGER registrations_changed AFTER INSERT OR UPDATE OR DELETE ON registrations
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION mirror_registration();
