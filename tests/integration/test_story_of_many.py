"""The story again, told by several processes: one for the doors and two for the work, with PostgreSQL and RabbitMQ between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bus.testing.patience import until
from tests.integration.kit import Town
from tests.integration.test_story import (
    test_a_free_service_goes_to_the_office_of_its_catalogue_entry,
    test_a_paid_application_leaves_one_effect_in_each_system_and_one_timeline,
    test_a_portal_cannot_forge_a_receipt,
    test_a_service_with_a_fee_waits_for_its_payment,
    test_an_exempt_certificate_is_issued_at_once_and_its_file_can_be_fetched,
    test_certificates_asked_at_the_same_time_are_all_issued,
    test_the_website_shows_the_services_of_the_catalogue,
    test_whoever_prefers_to_wait_gets_the_reply_and_whoever_does_not_gets_it_later,
)
from tests.servers import PostgreSQL, RabbitMQ

__all__ = [
    "test_a_free_service_goes_to_the_office_of_its_catalogue_entry",
    "test_a_paid_application_leaves_one_effect_in_each_system_and_one_timeline",
    "test_a_portal_cannot_forge_a_receipt",
    "test_a_service_with_a_fee_waits_for_its_payment",
    "test_an_exempt_certificate_is_issued_at_once_and_its_file_can_be_fetched",
    "test_certificates_asked_at_the_same_time_are_all_issued",
    "test_the_website_shows_the_services_of_the_catalogue",
    "test_whoever_prefers_to_wait_gets_the_reply_and_whoever_does_not_gets_it_later",
]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, _postgresql: PostgreSQL, _rabbitmq: RabbitMQ) -> Iterator[Town]:
    store, channel = _postgresql.new_database(), _rabbitmq.new_vhost()
    changes = {"store": {"url": store}, "channel": {"url": channel}}
    with Town(tmp_path_factory.mktemp("town"), changes=changes, workers=2) as made:
        yield made
    _postgresql.drop_database(store)
    _rabbitmq.drop_vhost(channel)


def seen(town: Town) -> list[str]:
    return sorted(one["role"] for one in town.client("sistemista").get("/status")["bus"]["processes"])


def test_a_sysadmin_sees_the_processes_at_work(town: Town) -> None:
    assert until(lambda: seen(town) == ["web", "worker", "worker"], "a door and two workers say that they are there")


def test_processes_that_are_told_to_stop_leave_no_trace_of_themselves(town: Town) -> None:
    town.stop_bus()
    town.start_bus()
    found = until(lambda: roles if len(roles := seen(town)) > 2 else None, "they are there again")
    assert found == ["web", "worker", "worker"]
