"""Every code of ``bus doctor``: what it looks at, why that matters, what to do. ``bus explain`` and docs/reference/doctor.md say this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """``looks``: what is looked at and when it is a warning or wrong; ``meaning``: why it matters; ``cure``: what to do next."""

    looks: str
    meaning: str
    cure: str


CODES: dict[str, Code] = {
    "doctor.check": Code("A check broke.", "what it looks at is not known", "report it, with this line"),
    "doctor.python": Code(
        "Python and its random numbers.",
        "keys of payloads need random numbers",
        "use Python 3.11 or later, on a machine that has started up",
    ),
    "doctor.limits": Code(
        "The limit on open files; a warning below 4,096.",
        "each connection and each call takes one, and without them messages are refused",
        "raise LimitNOFILE in the unit, or `ulimit -n`",
    ),
    "doctor.settings": Code(
        "`config.yaml`: there, readable, valid.", "the bus does not start with it", "mend it; docs/reference/settings.md lists all settings"
    ),
    "doctor.secrets": Code(
        "Secrets: there; their files, the log's keys, and a `config.yaml` with a password in an address, closed to other users.",
        "whoever reads a secret can act as the bus",
        "chmod 600 it, owned by the user of the bus",
    ),
    "doctor.files": Code(
        "Settings, rules, the file of the database and the folder of attachments: not for every user of the machine to write.",
        "whoever writes them gives himself a key, or changes what the bus does and has",
        "chmod o-w it",
    ),
    "doctor.places": Code(
        "Where keys and attachments lie; a warning in memory, and in a container's own layer.",
        "they go with this boot of the machine, or with the container, and without the keys no payload can be opened",
        "put them on a disk: in a container, a volume",
    ),
    "doctor.shape": Code(
        "Whether store and channel fit together; a warning when one is for one process and the other for several.",
        "`bus web` and `bus worker` refuse to start with it",
        "postgresql:// with amqp:// for several processes, sqlite:/// with memory:// for one",
    ),
    "doctor.keys": Code(
        "API keys; a warning when there is none, or none for a sysadmin.",
        "nobody could send, or look at dead letters",
        "bus keys new NAME --role portal",
    ),
    "doctor.rules": Code(
        "Routes, mappings, types, tables and services in the folder, not those in force; wrong when one has an error.",
        "they cannot be put in force, and a bus that has no others yet does not start",
        "bus validate",
    ),
    "doctor.adapters": Code("The settings of each adapter.", "the bus does not start with them", "see the README of the adapter"),
    "doctor.address": Code(
        "Each outside system, witness and time-stamping authority: its name resolves and a TCP connection opens. Nothing is asked. "
        "A warning, because the bus works without it.",
        "calls to it wait and are repeated until it can be reached",
        "look at the address, the firewall, the system itself",
    ),
    "doctor.tls": Code(
        "The certificate of each outside system that is called over https, and ours where one is named; a warning 30 days before it ends.",
        "a system that cannot prove who it is is never called, and one that does not take ours lets nobody in",
        "renew the certificate, or name its authority with `ca`",
    ),
    "doctor.store": Code(
        "The database can be reached.",
        "what is in it was not looked at, and the bus cannot work",
        "look at store.url, the server, the network, the password",
    ),
    "doctor.store-version": Code(
        "The database's version: PostgreSQL 15, SQLite 3.35, or later.", "an older one lacks what the bus is built on", "upgrade it"
    ),
    "doctor.store-settings": Code(
        "Settings of the database that decide whether a commit survives a power cut, and whether its triggers work; a warning without TLS "
        "to another machine, and for a server without checksums of its pages.",
        "it can lose what was accepted, and the bus refuses to start; or others can read it on its way",
        "PostgreSQL: as docs/sysadmin/production.md says, UTF8, a primary, sslmode=verify-full. SQLite: WAL, on a local disk",
    ),
    "doctor.store-schema": Code(
        "The schema's revision against the one this program speaks, whether its tables have the columns that it made, and whether its "
        "keys, indexes and triggers are there; "
        "a warning for an empty database.",
        "the bus does not start with another one",
        "bus migrate up",
    ),
    "doctor.store-rights": Code(
        "Whether the bus's own user could change or delete records; a warning when it could.",
        "triggers refuse it, but who owns the table can drop the triggers",
        "let another role own the tables: deploy/postgresql/roles.sql",
    ),
    "doctor.store-connections": Code(
        "How many connections PostgreSQL lets our user have, by max_connections and by the limits of the role and of the database; "
        "a warning where they are too few for the processes at work, or for one door and one worker.",
        "a process that gets none does not start, and one that gets too few does not answer whoever looks",
        "ALTER ROLE … CONNECTION LIMIT …, or ALTER DATABASE; for max_connections, raise it and restart the server",
    ),
    "doctor.store-locks": Code(
        "Tables of the bus that somebody has locked: reading one is given up after two seconds.",
        "the bus waits for the table, too, and what is in it was not looked at",
        "end the session that is named, or what it does there",
    ),
    "doctor.store-standby": Code(
        "Where `synchronous_standby_names` is set: a standby that confirms commits; a warning when one waits for 5 seconds.",
        "every commit waits for it, and the bus stands still",
        "start the standby, or take it out of synchronous_standby_names and reload the server",
    ),
    "doctor.store-disk": Code(
        "Where the SQLite file lies: a local disk (a warning in memory or in a container's own layer, wrong on the network), "
        "with 1 GB (wrong below 100 MB). PostgreSQL: whether it takes 256 KB, which are taken back.",
        "network folders and memory do not keep what they say they wrote, and a full disk refuses messages",
        "put the file on a local disk with space",
    ),
    "doctor.rolled-back": Code(
        "Whether a process of the bus, that came back to its database, missed there what it had committed; a warning for 30 days.",
        "messages that were answered with 202 are not there, and what they told outside systems may be done again",
        "keep the server that has them; docs/sysadmin/running.md, where a standby that was behind is promoted, says what else",
    ),
    "doctor.clock": Code(
        "This machine's clock against the database's, and against the last record and all open runs, which are not of later; a warning "
        "beyond one second.",
        "leases follow the database, but certificates, logs and outside systems follow this one",
        "set up chrony or systemd-timesyncd on both machines",
    ),
    "doctor.keystore": Code(
        "The key store and its master key: there, closed to other users, the ones of this database, without keys that are destroyed; "
        "a warning where it lacks keys or blocks of them were cut, or where it holds its master key.",
        "without them nothing is taken in, and no payload can be opened",
        "name it in `keystore`, or restore its newest copy; folder 0700, master key 0600, owned by the user of the bus",
    ),
    "doctor.channel": Code(
        "Each node of the broker can be reached and lets us in; a warning where only some do, and without TLS to another machine.",
        "tickets do not ring, and work waits for the sweeper; or others can read the password on its way",
        "look at channel.url (amqps:// for another machine), the broker, the user, the virtual host",
    ),
    "doctor.channel-queue": Code(
        "A durable queue that all nodes keep (quorum) can be declared and used; tried with a queue that is removed at once. The bus's own "
        "queue and exchange, where they are there, are of its kind, and the queue takes a ticket (of no run).",
        "the bus cannot make its own queue",
        "RabbitMQ 3.10 or later; rights to configure, write and read: deploy/rabbitmq/set-up.sh",
    ),
    "doctor.channel-alarm": Code(
        "Whether the broker takes what is published.",
        "under its alarm for memory or disk it takes nothing; work goes on at the pace of the sweeper",
        "rabbitmq-diagnostics alarms; give it memory or disk",
    ),
    "doctor.attachments": Code(
        "The folder of attachments: there, writable, synced, with space; a warning below 1 GB, wrong below 100 MB.",
        "messages with files would be refused",
        "make the folder, owned by the user of the bus, on a disk with space",
    ),
    "doctor.attachments-same": Code(
        "Whether the folder is the one that all processes of this store use; a warning where it lacks one of the newest 100 files.",
        "a file taken by one process would not be there for another",
        "mount the same folder on all machines, with its file .snodo-folder",
    ),
    "doctor.processes": Code(
        "The processes at work; a warning when they differ in version or rules, when one has been silent for 30 seconds or, on this "
        "machine, is no more, and where there are doors and no worker.",
        "a message is worked on under the rules of whoever takes it, and a silent process may hang",
        "restart those that lag behind; see `systemctl list-units 'snodo-*'`",
    ),
    "doctor.backlog": Code(
        "Runs that are due; a warning when the oldest has been for more than a minute, or they are so many that doors refuse more.",
        "nobody works on them, or too few do",
        "start another worker; look for a slow system in /status",
    ),
    "doctor.locked-out": Code(
        "Operations of which the outside system, when a process at work last asked, did not take our credentials.",
        "a route may go on without the answer, so that no dead letter says it: applications without a notice",
        "mend the credentials in the adapter's settings and restart; `bus runs show RUN` says what the system said",
    ),
    "doctor.dead": Code("Dead letters, and among them calls in doubt.", "each waits for a person", "bus dead"),
    "doctor.lanes": Code(
        "Ordered lanes whose last number is held by a dead letter.",
        "every other run that needs the lane waits behind it",
        "bus dead show RUN, then decide or redeliver it first",
    ),
    "doctor.leases": Code(
        "Runs whose owner has vanished and whose lease ended more than a minute ago.",
        "nobody took them over: no worker sweeps",
        "start a worker",
    ),
    "doctor.tree": Code(
        "Whether the log is sealed: records that have had no place in the tree for more than a minute, while workers are there. Wrong "
        "where records, checkpoints or tiles are missing at its end.",
        "receipts, exports and witnesses wait, and what is not sealed could still be changed",
        "look for sequencer.failed in the log lines of the workers; is the log's key on one of them?",
    ),
    "doctor.authority": Code(
        "The root certificate of the time-stamping authority: there, readable, a PEM file; a warning 30 days before it expires.",
        "no stamp is taken: whether one is genuine cannot be told",
        "put the authority's root where anchors.timestamps.ca says, readable by the user of the bus",
    ),
    "doctor.anchors": Code(
        "Witnesses, time stamps, the protocol register: what each has seen of the log; a warning when one is late, or no witness is named, "
        "wrong when a witness says that it has seen more of it than there is, or another one.",
        "what nobody outside has seen, the operator could still change",
        "look for anchor.failed in the log lines; is the witness up? docs/sysadmin/witness.md",
    ),
}
