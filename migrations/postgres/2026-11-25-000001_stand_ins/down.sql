DROP INDEX users_place_idx;
