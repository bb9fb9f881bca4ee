"""What a fleet knows, in the schema `fleet` of its database: one file for each subject.

They stand here in the order of their imports, each with its door:

- `database.connect`: where the database is, and the store of each migration in it
- `tables.check`: the tables
- `members.member`: a migration, and what it is to do
- `registry.register`: how it comes with its files, and how it goes
- `occupancy.occupy`: the accounts that turns work on, and who waits for them
- `turns.begin`: a turn, from its beginning to its one end
- `figures.last_turns`: what turns have left, for those who look
- `reports.keep`: the last report
- `alive.seen`: which workers live
- `jobs.lost`: the queue's own table, looked at and cleared up

Door: members.member, registry.register, turns.begin, occupancy.occupy, jobs.lost.
"""
