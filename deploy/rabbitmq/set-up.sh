#!/bin/sh
# A virtual host and a user for the bus, once, on a node of RabbitMQ 3.10 or later: SNODO_BROKER_PASSWORD=… deploy/rabbitmq/set-up.sh
# The bus makes its queue itself, as a quorum queue. Tickets are ids of runs: nothing here needs a backup.
set -eu
: "${SNODO_BROKER_PASSWORD:?set it to the password of the user snodo}"
rabbitmqctl add_vhost snodo
printf '%s' "$SNODO_BROKER_PASSWORD" | rabbitmqctl add_user snodo
# Only names that begin with snodo; the empty name is the default exchange.
rabbitmqctl set_permissions --vhost snodo snodo '^snodo\.' '^(snodo\..*|amq\.default|)$' '^snodo\.'
