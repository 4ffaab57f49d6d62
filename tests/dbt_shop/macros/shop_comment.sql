{#- Names the run and the node, so that a gateway can tie each statement to them. -#}
{% macro shop_comment(node) %}
{%- set words = {'app': 'dbt', 'dbt_version': dbt_version, 'profile_name': target.get('profile_name'),
                 'target_name': target.get('target_name'), 'invocation_id': invocation_id} -%}
{%- if node is not none and node -%}{%- do words.update({'node_id': node.unique_id}) -%}{%- endif -%}
{{ return(tojson(words)) }}
{% endmacro %}
