-- Which account is compared with where a name is nobody's: see PLACE in src/store/stand_ins.rs.
CREATE INDEX users_place_idx ON users (
    (((id % 2147483647) * (id % 2147483647) % 2147483647 * 1103515245) % 2147483647)
);
