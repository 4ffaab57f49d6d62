"""A small SQLAlchemy application: Alembic migrates it, Core and ORM work with it, and its tables are reflected."""

import json
import os

from alembic.migration import MigrationContext
from alembic.operations import Operations
import alembic.autogenerate
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql import JSONB, insert


def engine(user):
    where = os.environ
    return sa.create_engine(f"postgresql+psycopg://{user}@{where['APP_HOST']}:{where['APP_PORT']}/{where['APP_DATABASE']}")


class Base(orm.DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), unique=True)
    notes: orm.Mapped[dict] = orm.mapped_column(JSONB, default=dict)
    bills: orm.Mapped[list["Bill"]] = orm.relationship(back_populates="person", cascade="all, delete-orphan")


class Bill(Base):
    __tablename__ = "bill"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    amount: orm.Mapped[int]
    version: orm.Mapped[int] = orm.mapped_column(default=1)
    person_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("person.id"), index=True)
    person: orm.Mapped[Person] = orm.relationship(back_populates="bills")
    __mapper_args__ = {"version_id_col": version}


def tell(name, value):
    print(json.dumps([name, value], default=str))


def migrate():
    with engine("app_migrate").begin() as connection:
        context = MigrationContext.configure(connection)
        context._ensure_version_table()
        script = alembic.autogenerate.produce_migrations(context, Base.metadata)
        operations = Operations(context)
        todo = list(script.upgrade_ops.ops)
        while todo:
            one = todo.pop(0)
            if hasattr(one, "ops"):
                todo[:0] = one.ops
            else:
                operations.invoke(one)
        operations.add_column("bill", sa.Column("note", sa.Text(), server_default="none"))
        operations.alter_column("bill", "note", existing_type=sa.Text(), nullable=False)
        operations.create_check_constraint("positive", "bill", "amount > 0")
        operations.drop_column("bill", "note")
        tell("differs", len(alembic.autogenerate.compare_metadata(context, Base.metadata)))


def main():
    migrate()
    app = engine("app")
    tell("tables", sorted(sa.inspect(app).get_table_names()))
    tell("columns", [column["name"] for column in sa.inspect(app).get_columns("bill")])
    tell("indexes", [index["name"] for index in sa.inspect(app).get_indexes("bill")])
    tell("keys", [key["referred_table"] for key in sa.inspect(app).get_foreign_keys("bill")])
    tell("checks", [check["sqltext"] for check in sa.inspect(app).get_check_constraints("bill")])
    reflected = sa.MetaData()
    reflected.reflect(app)
    tell("reflected", sorted(reflected.tables))
    with orm.Session(app) as session:
        session.add_all([Person(name=f"p{n}", notes={"n": n}, bills=[Bill(amount=n + m + 1) for m in range(3)]) for n in range(20)])
        session.commit()
        tell("lazy", [bill.amount for bill in session.get(Person, 1).bills])
        rich = sa.select(Person.name, sa.func.sum(Bill.amount)).join(Bill).group_by(Person.name).having(sa.func.sum(Bill.amount) > 50)
        tell("grouped", [tuple(row) for row in session.execute(rich.order_by(Person.name))])
        eager = session.scalars(sa.select(Person).options(orm.selectinload(Person.bills)).order_by(Person.id).limit(3)).all()
        tell("eager", [len(person.bills) for person in eager])
        tell("json", session.scalar(sa.select(sa.func.count()).where(Person.notes["n"].as_integer() > 10)))
        bill = session.scalars(sa.select(Bill).order_by(Bill.id).with_for_update()).first()
        bill.amount = 100
        session.commit()
        tell("version", bill.version)
        with session.begin_nested() as point:
            session.execute(sa.delete(Person).where(Person.name == "p19", Person.id < 0))
            point.rollback()
        tell("updated", session.execute(sa.update(Bill).where(Bill.amount > 20).values(amount=20)).rowcount)
        session.delete(session.get(Person, 2))
        session.commit()
        tell("left", session.scalar(sa.select(sa.func.count(Bill.id))))
    with app.begin() as connection:
        upsert = insert(Person).values([{"name": "p1", "notes": {}}, {"name": "new", "notes": {}}])
        upsert = upsert.on_conflict_do_update(index_elements=["name"], set_={"notes": upsert.excluded.notes})
        tell("upserted", len(connection.execute(upsert.returning(Person.id)).all()))
        tree = sa.select(sa.literal(1).label("n")).cte(recursive=True)
        tree = tree.union_all(sa.select(tree.c.n + 1).where(tree.c.n < 5))
        tell("recursive", connection.execute(sa.select(tree.c.n)).scalars().all())
        many = connection.execution_options(stream_results=True).execute(sa.select(Bill.id).order_by(Bill.id))
        tell("streamed", len(many.fetchmany(7)) + len(many.all()))
    try:
        with app.begin() as connection:
            connection.execute(sa.insert(Bill).values(amount=-1, version=1, person_id=1))
    except sa.exc.IntegrityError as error:
        tell("refused by the server", type(error.orig).__name__)
    with app.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        tell("ping", connection.execute(sa.text("select 1")).scalar())


main()
