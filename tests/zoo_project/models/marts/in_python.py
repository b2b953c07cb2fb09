def model(dbt, session):
    dbt.config(materialized="incremental")
    animals = dbt.ref("stg_animals")
    print("python says", dbt.this)
    return animals.aggregate(
        f"count(*) as animals, sum(legs) as legs, '{dbt.config.get('herd')}' as herd, {dbt.is_incremental} as again"
    )
