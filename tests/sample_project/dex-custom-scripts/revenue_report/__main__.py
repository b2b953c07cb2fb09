"""Prints where the shop earned most, and hands the total to the steps after it."""

import json
import os
import sys

import duckdb

most = int(sys.argv[1]) if len(sys.argv) > 1 else 5
currency = sys.argv[2] if len(sys.argv) > 2 else os.getenv("CURRENCY", "EUR")

with duckdb.connect(os.environ["DEX_WAREHOUSE_PATH"], read_only=True) as warehouse:
    countries = warehouse.execute(
        "select country, sum(orders), sum(revenue) from main.mart_revenue group by country order by 3 desc limit ?",
        [most],
    ).fetchall()
    (total,) = warehouse.execute("select sum(revenue) from main.mart_revenue").fetchone()

print(f"The {len(countries)} best countries, run {os.environ['DEX_RUN_ID']}\n")
for country, orders, revenue in countries:
    print(f"  {country:<4} {orders:>6,} orders {revenue:>12,.2f} {currency}")
print(f"  all  {'':>13} {total:>12,.2f} {currency}")

with open(os.environ["DEX_OUTPUT"], "w") as output:
    json.dump({"countries": len(countries), "total": round(float(total), 2)}, output)
