"""A small Django application: it migrates, writes, reads, and shows its admin pages to a test client."""

import json
import os
import sys

import django
from django.conf import settings

DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ["APP_HOST"],
    "PORT": os.environ["APP_PORT"],
    "NAME": os.environ["APP_DATABASE"],
    "USER": "app",
    "OPTIONS": {"application_name": "shop"},
}
settings.configure(
    SECRET_KEY="only here",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.sessions", "django.contrib.messages"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
        "context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                               "django.contrib.messages.context_processors.messages"]}}],
    DATABASES={"default": DATABASE, "migrate": {**DATABASE, "USER": "app_migrate"}},
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, connections, models, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]


def tell(name, value):
    print(json.dumps([name, value], default=str))


def main():
    with open(os.devnull, "w", encoding="utf-8") as quiet:
        call_command("migrate", database="migrate", verbosity=0, stdout=quiet)
        tell("pending", call_command("migrate", database="migrate", check_unapplied=True, verbosity=0, stdout=quiet))
    tell("tables", sorted(connections["migrate"].introspection.table_names()))
    with connection.cursor() as cursor:
        tell("columns", [column.name for column in connection.introspection.get_table_description(cursor, "auth_user")])
        tell("constraints", sorted(connection.introspection.get_constraints(cursor, "auth_user_groups")))
    boss = User.objects.create_superuser("boss", "boss@example.org", "pw")
    User.objects.bulk_create([User(username=f"u{n}", email=f"u{n}@example.org") for n in range(50)])
    groups = [Group.objects.create(name=f"g{n}") for n in range(3)]
    boss.groups.set(groups)
    groups[0].permissions.add(*Permission.objects.order_by("id")[:5])
    tell("counted", User.objects.filter(username__startswith="u1").count())
    tell("joined", list(User.objects.filter(groups__name="g1").values_list("username", flat=True)))
    tell("prefetched", [len(user.groups.all()) for user in User.objects.prefetch_related("groups").order_by("id")[:2]])
    tell("grouped", list(Permission.objects.values("content_type__app_label").annotate(n=models.Count("id")).order_by("n", "content_type__app_label")))
    tell("updated", User.objects.filter(username="u3").update(first_name=models.functions.Upper("username")))
    tell("got", User.objects.get_or_create(username="u3")[1])
    tell("upserted", Group.objects.update_or_create(name="g1", defaults={"name": "g9"})[0].name)
    with transaction.atomic():
        locked = User.objects.select_for_update(skip_locked=True).get(username="u4")
        locked.last_name = "locked"
        locked.save(update_fields=["last_name"])
    try:
        with transaction.atomic():
            User.objects.create(username="u5")
    except IntegrityError as error:
        tell("refused by the server", type(error.__cause__).__name__)
    with transaction.atomic():
        point = transaction.savepoint()
        User.objects.filter(username="u6").delete()
        transaction.savepoint_rollback(point)
    tell("deleted", User.objects.filter(username__in=["u7", "u8"]).delete()[0])
    tell("iterated", sum(1 for _ in User.objects.order_by("id").iterator(chunk_size=10)))
    tell("explained", bool(User.objects.filter(id=1).explain()))
    with connection.cursor() as cursor:
        cursor.execute("select username from auth_user where id = any(%s) order by id", [[1, 2]])
        tell("by hand", cursor.fetchall())
    client = Client()
    tell("logged in", client.login(username="boss", password="pw"))
    for page in ("/admin/", "/admin/auth/user/?q=u1&o=1", "/admin/auth/user/1/change/", "/admin/auth/group/"):
        tell(page, client.get(page).status_code)
    tell("changed by admin", client.post("/admin/auth/group/add/", {"name": "by admin"}).status_code)
    chosen = {"action": "delete_selected", "_selected_action": [groups[2].pk], "post": "yes"}
    tell("deleted by admin", client.post("/admin/auth/group/", chosen).status_code)
    tell("left", sorted(Group.objects.values_list("name", flat=True)))


sys.exit(main())
