"""Writes `src/security/django_vectors.in`: hashes of a real Django, at a low cost."""
import pathlib
import unicodedata

import argon2.low_level
import bcrypt
from django.conf import settings
from django.contrib.auth import hashers

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "src" / "security" / "django_vectors.in"
PASSWORDS = ["password", "비밀번호는 길게", "Ame\u0301lie", "with\0NUL", "x" * 200]
# What bcrypt alone cannot tell from another password.
NOT_FOR_BCRYPT = {"with\0NUL", "x" * 200}



def cheap(name, **cost):
    return type(name, (getattr(hashers, name),), cost)()


def django_hashes(password):
    for hasher in (
        cheap("PBKDF2PasswordHasher", iterations=100),
        cheap("PBKDF2SHA1PasswordHasher", iterations=100),
        cheap("BCryptSHA256PasswordHasher", rounds=4),
        cheap("BCryptPasswordHasher", rounds=4),
        cheap("Argon2PasswordHasher", time_cost=2, memory_cost=64, parallelism=2),
        cheap("ScryptPasswordHasher", work_factor=16, block_size=8, parallelism=5),
    ):
        if hasher.algorithm != "bcrypt" or password not in NOT_FOR_BCRYPT:
            yield hasher.encode(password, hasher.salt())


def old_bcrypt_hashes(password):
    """Written with other prefixes by older or other libraries."""
    encoded = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()
    yield "bcrypt$" + encoded
    yield "bcrypt$" + encoded.replace("$2a$", "$2y$")


def old_argon2_hashes(password):
    """Django before 3.2 wrote argon2i; before 1.11, or by a setting, other kinds and versions."""
    low = argon2.low_level
    for kind in (low.Type.I, low.Type.D, low.Type.ID):
        for version in (0x10, 0x13):
            encoded = low.hash_secret(
                password.encode(), b"saltsaltsalt", time_cost=2, memory_cost=64,
                parallelism=2, hash_len=16, type=kind, version=version,
            ).decode()
            yield "argon2" + encoded
            if version == 0x10:
                yield "argon2" + encoded.replace("$v=16", "")


def old_hashes(password):
    yield from old_bcrypt_hashes(password)
    yield from old_argon2_hashes(password)


def rust(text):
    return '"' + "".join(
        c if c.isprintable() and not unicodedata.combining(c) else "\\u{%x}" % ord(c)
        for c in text
    ) + '"'


def main():
    settings.configure()
    lines = [
        f"    ({rust(password)}, {rust(hashed)}),"
        for password in PASSWORDS
        for hashed in django_hashes(password)
    ]
    lines += [f"    ({rust('password')}, {rust(hashed)})," for hashed in old_hashes("password")]
    OUT.write_text("\n".join(["[", *lines, "]", ""]))
    print(f"{len(lines)} vectors in {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
